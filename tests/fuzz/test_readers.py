"""Few damaged inputs for every reader, always the same; many are tried by experiments/benchmarks/fuzz_readers.py."""

import pytest
from harness import make_case, make_input, run_case
from readers import READERS


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name.replace(" ", "-"))
def test_damaged_input_is_read_or_refused(reader, tmp_path):
    good = make_input(reader, tmp_path / "good")
    for seed in range(reader.cases):
        outcome = run_case(reader, make_case(reader, good, tmp_path / str(seed), seed))
        assert outcome.kind in ("ok", "refused"), f"case {seed}: {outcome.detail}"
