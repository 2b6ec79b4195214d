"""The experiment on single flipped bits, in short."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "benchmarks" / "store_bit_flips.py"


@pytest.fixture(scope="module")
def flips():
    spec = importlib.util.spec_from_file_location("store_bit_flips", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("old", [False, True])
def test_each_is_found_and_mended_or_harmless(flips, tmp_path, old):
    seen = list(flips.flip_bits(tmp_path / "store", 64, seed=1, old=old))
    assert [one for one in seen if one[2] not in ("found", "harmless", "refused")] == []
    kinds = Counter(kind for kind, _, outcome in seen if outcome == "found")
    assert kinds.keys() == set(flips.KINDS) and all(kinds[kind] == 8 for kind in ("commit record", "chunk"))


def test_what_is_neither_is_told(flips, tmp_path, monkeypatch):
    """The experiment finds a `verify` that looks away."""
    verify = flips.verify
    monkeypatch.setattr(
        flips, "verify", lambda store: [f for f in verify(store) if "checksum differs" not in f.problem]
    )
    outcomes = {outcome for _, _, outcome in flips.flip_bits(tmp_path / "store", 32, seed=1)}
    assert any("not found" in outcome or "Error" in outcome for outcome in outcomes)
