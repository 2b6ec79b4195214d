"""A task is done for as long as what it was made from is the same; then it is made again, and says so."""

import json
import os

import pytest

from vdprobe.errors import ConfigError, DataError
from vdprobe.studies.study import inputs
from vdprobe.studies.study.config import substitute
from vdprobe.studies.study.run import plan_study, run_study
from vdprobe.studies.study.steps import STEPS

STUDY = {
    "title": "Heads and what is behind them",
    "values": {"data": "PLACE", "arms": ["a", "b"]},
    "steps": {
        "heads": {
            "do": "head",
            "each": {"arm": "${arms}"},
            "config": {
                "features": {"videos": {"path": "${data}"}},
                "arm": "${arm}",
                "store": {"path": "${data}-store"},
            },
        },
        "masks": {"do": "masks", "each": {"arm": "${arms}"}, "config": {"head": "${heads}"}},
        "table": {"do": "table", "config": {"arms": {"a": "${masks}/a", "b": "${masks}/b"}}},
    },
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of three steps that copy what they read; gives its values, its folder, and what was done."""
    done, data, out = [], tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (data / "frame.png").write_bytes(b"1")

    def head(values, folder, context):
        done.append(f"heads/{values['arm']}")
        (folder / "best").mkdir()
        (folder / "best" / "head.safetensors").write_bytes(b"head of " + (data / "frame.png").read_bytes())
        (folder / "log.jsonl").write_text(f"seconds {len(done)}")
        return {}

    def masks(values, folder, context):
        done.append(f"masks/{values['head'][-1]}")
        if masks.broken:
            raise DataError("it broke")
        assert not any(path.name == "mask.png" for path in folder.iterdir())  # of another head
        (folder / "mask.png").write_bytes(b"mask of " + _bytes(f"{values['head']}/best/head.safetensors"))
        return {}

    def table(values, folder, context):
        done.append("table")
        text = b"".join(_bytes(f"{place}/mask.png") for place in values["arms"].values())
        (folder / "table.csv").write_bytes(text)
        return {}

    masks.broken = False
    for name, step in (("head", head), ("masks", masks), ("table", table)):
        monkeypatch.setitem(STEPS, name, step)
    values = json.loads(json.dumps(STUDY).replace("PLACE", str(data)))
    return values, out, done, masks


def _bytes(path):
    with open(path, "rb") as file:
        return file.read()


def _run(values, out, done):
    done.clear()
    told = []
    run_study(values, out, on_changed=lambda task, paths: told.append((task.folder, *paths)))
    return list(done), told


ALL = ["heads/a", "heads/b", "masks/a", "masks/b", "table"]


def test_nothing_changed_and_nothing_is_done(study, tmp_path):
    values, out, done, _ = study
    assert _run(values, out, done) == (ALL, [])
    assert _run(values, out, done) == ([], [])
    (tmp_path / "data-store").mkdir()  # a cache that was filled on the way
    (out / "heads" / "a" / "state.pt").write_bytes(b"what a training goes on from")
    os.utime(out / "heads" / "a" / "best" / "head.safetensors", (1, 1))  # as a copy of the folder has it
    assert _run(values, out, done) == ([], [])
    assert all(state.done for state in plan_study(values, out)[1])


def test_a_head_that_was_trained_again_makes_all_behind_it_again(study):
    values, out, done, _ = study
    _run(values, out, done)
    (out / "heads" / "b" / "best" / "head.safetensors").write_bytes(b"another head")
    planned = {state.task.folder: state.done for state in plan_study(values, out)[1]}
    assert planned == {"heads/a": True, "heads/b": True, "masks/a": True, "masks/b": False, "table": False}
    made, told = _run(values, out, done)
    assert made == ["masks/b", "table"]
    assert told[0] == ("masks/b", f"{out}/heads/b")
    assert (out / "table" / "table.csv").read_bytes() == b"mask of head of 1mask of another head"
    assert _run(values, out, done) == ([], [])


def test_a_dataset_of_another_content_makes_all_again(study, tmp_path):
    values, out, done, _ = study
    _run(values, out, done)
    (tmp_path / "data" / "frame.png").write_bytes(b"2")
    made, told = _run(values, out, done)
    assert made == ALL
    assert {place for place, *_ in told} == set(ALL)


def test_a_file_of_the_same_size_and_time_of_another_name_counts(study, tmp_path):
    values, out, done, _ = study
    _run(values, out, done)
    (tmp_path / "data" / "frame.png").rename(tmp_path / "data" / "frame2.png")
    assert not plan_study(values, out)[1][0].done


def test_a_task_that_was_removed_and_gives_the_same_leaves_those_behind_it(study):
    values, out, done, _ = study
    _run(values, out, done)
    (out / "heads" / "a" / "done.json").unlink()
    (out / "heads" / "a" / "best" / "head.safetensors").unlink()
    (out / "heads" / "a" / "best").rmdir()
    assert [state.done for state in plan_study(values, out)[1]] == [False, True, False, True, False]
    assert _run(values, out, done)[0] == ["heads/a"]


def test_what_was_begun_with_another_head_is_begun_anew(study):
    values, out, done, masks = study
    masks.broken = True
    with pytest.raises(DataError):
        run_study(values, out)
    (out / "masks" / "a" / "mask.png").write_bytes(b"half of a mask")
    (out / "heads" / "a" / "best" / "head.safetensors").write_bytes(b"another head")
    masks.broken = False
    made, told = _run(values, out, done)
    assert made == ["masks/a", "masks/b", "table"]
    assert told == [("masks/a", f"{out}/heads/a")]


def test_a_study_from_before_inputs_were_written_down_stays_done(study):
    values, out, done, _ = study
    _run(values, out, done)
    for path in out.rglob("inputs.json"):
        path.unlink()
    assert _run(values, out, done) == ([], [])
    (out / "heads" / "a" / "best" / "head.safetensors").write_bytes(b"another head")
    assert _run(values, out, done)[0] == ["masks/a", "table"]


def test_what_was_read_once_is_not_read_again(study, monkeypatch):
    values, out, done, _ = study
    read = []
    kept = inputs._digest
    monkeypatch.setattr(inputs, "_digest", lambda path: read.append(path) or kept(path))
    _run(values, out, done)
    assert len(read) == len(set(read))
    read.clear()
    _run(values, out, done)
    assert not read


def test_links_in_a_circle_end(study, tmp_path):
    values, out, done, _ = study
    (tmp_path / "data" / "round").symlink_to(tmp_path / "data", target_is_directory=True)
    assert _run(values, out, done)[0] == ALL


def test_made_videos_that_are_gone_are_made_again(tmp_path, monkeypatch):
    made = []

    def make(values, folder, context):
        made.append(values["path"])
        (tmp_path / "videos").mkdir()
        (tmp_path / "videos" / "a").touch()
        return {}

    monkeypatch.setitem(STEPS, "moving-shapes", make)
    values = {"title": "x", "steps": {"v": {"do": "moving-shapes", "config": {"path": str(tmp_path / "videos")}}}}
    for _ in range(2):
        run_study(values, tmp_path / "out")
    assert len(made) == 1
    (tmp_path / "videos" / "a").unlink()
    (tmp_path / "videos").rmdir()
    run_study(values, tmp_path / "out")
    assert len(made) == 2


def test_a_text_takes_values_as_they_are_written():
    scope = {"yes": True, "n": 3, "none": None, "list": [1]}
    assert substitute("x${yes}-${n}", scope, "here") == "xtrue-3"
    for name in ("none", "list"):
        with pytest.raises(ConfigError, match="which is no part of a text"):
            substitute(f"x/${{{name}}}", scope, "here")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--set", "values.daat=x"], "--set values gives 'daat', for which the study has no use: did you mean 'data'"),
        (["--dataset", "x"], "--dataset gives 'dataset', for which"),
        (["--model", "x"], "--model gives 'model', for which"),
    ],
)
def test_an_option_that_changes_nothing_is_refused(vdprobe, study, tmp_path, asked, said):
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(study[0]))
    status, _, err = vdprobe("run", file, "--out", study[1], *asked)
    assert (status, said in err) == (2, True), err
    assert not study[2]


def test_a_file_of_values_for_several_studies_says_what_is_not_of_this_one(vdprobe, study, tmp_path):
    values, out, _, _ = study
    (tmp_path / "study.yaml").write_text(json.dumps(values))
    (tmp_path / "values.yaml").write_text("arms: [a]\nother: 1\n")
    again = [tmp_path / "study.yaml", "--out", out, "--values", tmp_path / "values.yaml", "--workers", 1]
    values["steps"].pop("table")
    (tmp_path / "study.yaml").write_text(json.dumps(values))
    status, _, err = vdprobe("run", *again)
    assert status == 0, err
    assert "no use for these of the values: other" in err
    (out / "heads" / "a" / "best" / "head.safetensors").write_bytes(b"another head")
    status, _, err = vdprobe("run", *again)
    assert "masks (arm=a) is made again, from nothing:" in err and "heads/a changed since" in err
