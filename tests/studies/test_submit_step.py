"""The zip of a study: made anew where a run was stopped, never with a fault."""

import shutil
import zipfile

import pytest

from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.errors import ConfigError, DataError
from vdprobe.studies.study.steps import STEPS, Context


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes") / "data"
    write_moving_shapes(folder, {"val": 1}, frames=2, side=32)
    return folder


def submit(shapes, masks, folder, **more):
    folder.mkdir(exist_ok=True)
    values = {"predictions": str(masks), "benchmark": "davis", "dataset": str(shapes), "split": "val"}
    return STEPS["submit"](values | more, folder, Context())


def test_a_zip_that_a_stopped_run_left_is_made_anew(shapes, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "submission.zip").write_bytes(b"left by another run")
    made = submit(shapes, shapes / "val" / "Annotations", out)
    with zipfile.ZipFile(made["zip"]) as archive:
        assert archive.namelist() == ["val-00000/00000.png", "val-00000/00001.png"]
    assert made["masks"] == 2


def test_masks_with_faults_make_no_zip(shapes, tmp_path):
    shutil.copytree(shapes / "val" / "Annotations", tmp_path / "masks")
    (tmp_path / "masks" / "val-00000" / "00001.png").unlink()
    with pytest.raises(
        DataError, match=r"submission.zip is not written.*: frame missing: val-00000/00001.png \(1"
    ) as e:
        submit(shapes, tmp_path / "masks", tmp_path / "out")
    assert "\n" not in str(e.value)
    assert not list((tmp_path / "out").iterdir())


def test_a_benchmark_without_a_zip(shapes, tmp_path):
    with pytest.raises(ConfigError, match="there is no benchmark 'mevs' with a zip; did you mean 'mevis'"):
        submit(shapes, shapes / "val" / "Annotations", tmp_path / "out", benchmark="mevs")
