import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def looked_at():
    sys.path.insert(0, str(Path(__file__).parent))
    yield importlib.import_module("looked_at")
    sys.path.remove(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def filled(looked_at, tmp_path_factory):
    """The folder of a store of two specs, for tests that only read it."""
    folder = tmp_path_factory.mktemp("looked-at")
    looked_at.make_store(folder)
    return folder


@pytest.fixture
def viewer(filled):
    from vdprobe.look.viewer import open_viewer

    return open_viewer(filled / "store")
