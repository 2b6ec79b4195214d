"""A folder belongs to a result once something of it was made, and not before."""

import pytest

from vdprobe.errors import ConfigError
from vdprobe.training.checkpoint import LOG, STATE, claim, is_begun


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
