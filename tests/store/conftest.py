import shutil
from pathlib import Path

import pytest

from vdprobe.store.store import FeatureStore


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.create(tmp_path / "store")


@pytest.fixture
def old_store(tmp_path: Path) -> FeatureStore:
    """A store of schema 1, as an earlier version wrote it: `make_features` of `make_item` under five specs."""
    shutil.copytree(Path(__file__).parents[1] / "fixtures" / "store_schema_1", tmp_path / "old")
    return FeatureStore.open(tmp_path / "old")
