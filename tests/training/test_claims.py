"""A folder belongs to a result once something of it was made, and not before."""

import subprocess
import sys

import pytest
from safetensors import SafetensorError

from vdprobe.errors import ConfigError, DataError, TrainingError
from vdprobe.training.checkpoint import LOG, STATE, claim, is_begun, load_state, log_until, replace_file


def _record(rate):
    return {"config": {"rate": rate}, "model": None, "data": None}


def test_what_failed_before_anything_was_made_may_be_corrected(tmp_path):
    for rate in (1, 2):
        claim(tmp_path, _record(rate), begun=is_begun(tmp_path))
    (tmp_path / LOG).touch()
    claim(tmp_path, _record(3), begun=is_begun(tmp_path))
    assert '"rate": 3' in (tmp_path / "training.json").read_text()


@pytest.mark.parametrize(("name", "text"), [(LOG, '{"step": 1}\n'), (STATE, "")])
def test_what_was_begun_is_kept_for_the_same_result(tmp_path, name, text):
    claim(tmp_path, _record(1), begun=is_begun(tmp_path))
    (tmp_path / name).write_text(text)
    claim(tmp_path, _record(1), begun=is_begun(tmp_path))
    with pytest.raises(ConfigError, match="another 'rate'"):
        claim(tmp_path, _record(2), begun=is_begun(tmp_path))


def test_the_same_result_keeps_its_record_as_it_is(tmp_path):
    claim(tmp_path, _record(1), begun=False)
    (tmp_path / "training.json").write_text((tmp_path / "training.json").read_text() + "\n")
    before = (tmp_path / "training.json").read_text()
    claim(tmp_path, _record(1), begun=False)
    assert (tmp_path / "training.json").read_text() == before


def test_a_record_that_is_none_is_said(tmp_path):
    (tmp_path / "training.json").write_text("[]")
    with pytest.raises(DataError, match=r"training\.json is damaged: it holds no mapping; give another --out"):
        claim(tmp_path, _record(1))


ROWS = b'{"step": 1}\n{"step": 2}\n'


@pytest.mark.parametrize("end", [b"", b'{"step": 3', b'{"a": {}', b"\xff", b'{"step": 3}'])
def test_half_a_row_at_the_end_is_what_a_killed_process_leaves(tmp_path, end):
    (tmp_path / LOG).write_bytes(ROWS + end)
    assert log_until(tmp_path, 2) == [{"step": 1}, {"step": 2}]
    assert (tmp_path / LOG).read_bytes() == ROWS


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"step": 1}\n{"step": \n', "has 1 of 2 steps, in 1 rows"),
        (b'{"step": 1}\n' + b"[" * 100_000 + b"\n", "has 1 of 2 steps, in 1 rows"),
        (b'{"step": 1}\n\xff\n', "has 1 of 2 steps, in 1 rows"),
        (b'{"step": 1}\n[2]\n', "has 1 of 2 steps, in 1 rows"),
        (b'{"step": 1}\n{"step": 1}\n', "has 1 of 2 steps, in 2 rows"),
        (b'{"step": 2}\n{"step": 1}\n', "has 2 of 2 steps, in 2 rows"),
        (b'{"step": 1}\n{"step": "2"}\n', "is damaged: a row of it has no step"),
        (b'{"step": 1}\n{"step": ' + b"9" * 5000 + b"}\n", "has 1 of 2 steps, in 1 rows"),
    ],
)
def test_a_damaged_log_is_said(tmp_path, content, told):
    (tmp_path / LOG).write_bytes(content)
    with pytest.raises(TrainingError, match=rf"log\.jsonl {told}; remove .*state\.pt to train from the start"):
        log_until(tmp_path, 2)


def test_a_state_that_the_disk_does_not_take_is_said(tmp_path):
    """torch speaks of its archive then, and not of the disk."""
    script = """
import resource, signal, sys, torch
from pathlib import Path
from vdprobe.errors import TrainingError
from vdprobe.training.checkpoint import save_state
out = Path(sys.argv[1])
save_state(out, {"weights": torch.zeros(10)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    save_state(out, {"weights": torch.zeros(100_000)})
except TrainingError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"cannot write {tmp_path / STATE}: File too large; free space and run it again\n"
    assert [path.name for path in tmp_path.iterdir()] == [STATE]  # nothing of the new one takes up the space
    assert len(load_state(tmp_path)["weights"]) == 10


def test_tensors_that_the_disk_does_not_take_are_said(tmp_path):
    def fail(part):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with pytest.raises(TrainingError, match=r"cannot write .*a: I/O error: No space left .*; free space and run it"):
        replace_file(tmp_path / "a", fail)
