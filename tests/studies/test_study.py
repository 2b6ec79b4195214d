"""A study is done once, in order, and goes on where it was stopped; a typo anywhere is one line."""

import json

import pytest

from vdprobe.errors import ConfigError, DataError
from vdprobe.specs.load import build
from vdprobe.studies.study import run as study_run
from vdprobe.studies.study.config import StudyConfig, make_tasks, substitute
from vdprobe.studies.study.run import plan_study, run_study
from vdprobe.studies.study.steps import STEPS

STUDY = {
    "title": "What is it?",
    "values": {
        "model": "tiny",
        "dataset": {"path": "videos/${model}"},
        "arms": {"VD-I": {"condition": "vd-i"}, "VD-T": {"condition": "vd-t"}},
        "seeds": [0, 7],
    },
    "steps": {
        "videos": {"do": "note", "config": {"path": "${dataset.path}"}},
        "heads": {
            "do": "note",
            "each": {"arm": "${arms}", "seed": "${seeds}"},
            "config": {"condition": "${arm.condition}", "seed": "${seed}", "name": "${arm_name}", "from": "${videos}"},
        },
        "scores": {
            "do": "note",
            "each": {"arm": "${arms}", "seed": "${seeds}"},
            "config": {"head": "${heads}/best"},
        },
        "table": {"do": "note", "each": {"arm": "${arms}"}, "config": {"all": "${scores}/${arm_name}"}},
    },
}


@pytest.fixture
def notes(monkeypatch):
    """A step that notes what it is given, and fails when told to."""
    seen = []

    def note(values, folder, context):
        if any(task in str(folder) for task in note.broken):
            raise DataError("it broke")
        seen.append((folder, values))
        return {"noted": len(seen)}

    note.broken = set()
    monkeypatch.setitem(STEPS, "note", note)
    return note, seen


def test_tasks_are_all_combinations_with_values_and_folders_of_earlier_steps():
    tasks = make_tasks(build(StudyConfig, STUDY), "out")
    assert [task.folder for task in tasks] == [
        "videos",
        *(f"{step}/{arm}/{seed}" for step in ("heads", "scores") for arm in ("VD-I", "VD-T") for seed in (0, 7)),
        "table/VD-I",
        "table/VD-T",
    ]
    assert tasks[0].config == {"path": "videos/tiny"}
    assert tasks[4].config == {"condition": "vd-t", "seed": 7, "name": "VD-T", "from": "out/videos"}
    assert tasks[8].config == {"head": "out/heads/VD-T/7/best"}
    assert tasks[10].config == {"all": "out/scores/VD-T"}
    assert tasks[4].name == "heads (arm=VD-T, seed=7)"


def test_whole_strings_keep_their_type_and_parts_become_text():
    scope = {"a": {"b": [1, 2]}, "n": 3, "again": "${n}"}
    assert substitute("${a.b}", scope, "here") == [1, 2]
    assert substitute({"x": ["t${n}.png"]}, scope, "here") == {"x": ["t3.png"]}
    assert substitute("${again}", scope, "here") == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": {}}, "the study has no step"),
        ({"steps": {"a b": {"do": "note"}}}, "becomes a folder"),
        ({"steps": {"model": {"do": "note"}}}, "both a step and a value"),
        ({"steps": {"x": {"do": "note", "config": {"p": "${datset.path}"}}}}, "did you mean 'dataset'"),
        ({"steps": {"x": {"do": "note", "config": {"p": "${dataset.pth}"}}}}, "nothing: did you mean 'path'"),
        ({"steps": {"x": {"do": "note", "each": {"a": "${model}"}}}}, "each.a must be a list or a mapping"),
        (
            {"steps": {"x": {"do": "note", "each": {"a": ["c", "c+"]}}}},
            "'c' and 'c\\+' make one folder, x/c; rename one",
        ),
        ({"steps": {"x": {"do": "analyse"}}}, "did you mean 'analyze'"),
        ({"steps": {"x": {"do": "note", "configs": {}}}}, "unknown option"),
        ({"titel": "x"}, "unknown option 'titel': did you mean 'title'"),
    ],
)
def test_a_typo_is_one_line_before_anything_is_done(tmp_path, notes, change, said):
    with pytest.raises(ConfigError, match=said) as error:
        run_study({**STUDY, **change}, tmp_path)
    assert "\n" not in str(error.value)
    assert not notes[1]


def test_what_is_done_is_not_done_again_and_what_broke_goes_on(tmp_path, notes):
    note, seen = notes
    for broken in ("videos", "heads/VD-T/0", "table/VD-T"):
        note.broken = {broken}
        with pytest.raises(DataError):
            run_study(STUDY, tmp_path)
    note.broken = set()
    told = []
    states = run_study(STUDY, tmp_path, on_task=lambda number, count, task: told.append((number, count, task.name)))
    assert told == [(11, 11, "table (arm=VD-T)")]
    assert [folder.relative_to(tmp_path).as_posix() for folder, _ in seen] == [s.task.folder for s in states]
    assert all(state.done for state in plan_study(STUDY, tmp_path)[1])
    record = json.loads((tmp_path / "study.json").read_text())
    assert record["study"]["title"] == "What is it?"
    assert "torch" in record["versions"]


def test_another_configuration_is_not_taken_for_the_old_result(tmp_path, notes):
    run_study(STUDY, tmp_path)
    other = {**STUDY, "values": {**STUDY["values"], "model": "large"}}
    with pytest.raises(ConfigError, match="another configuration; give another --out, or remove"):
        run_study(other, tmp_path)


def test_a_half_written_mark_is_not_done(tmp_path, notes, monkeypatch):
    def killed(path, write):
        write(path.with_name("part"))
        raise KeyboardInterrupt

    kept = study_run.replace_file
    monkeypatch.setattr(study_run, "replace_file", lambda p, w: killed(p, w) if p.name == "done.json" else kept(p, w))
    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, tmp_path)
    assert not any(state.done for state in plan_study(STUDY, tmp_path)[1])


SMALL = """
title: Do objects keep their features?
values:
  model: random:tiny
  dataset: {path: PLACE/videos}
steps:
  videos: {do: moving-shapes, config: {path: "${dataset.path}", counts: {test: 2}}}
  consistency:
    do: analyze
    config:
      analysis: consistency
      features:
        model: {pipeline: "${model}"}
        videos: {path: "${dataset.path}", split: test, texts_per_object: 1}
        clips: {frames: 3}
        resize: {short_side: 128, long_side: null}
        taps: [unet.up.2]
        conditions: [vd-t]
        noises: [none]
        store: {path: PLACE/store}
"""


@pytest.mark.slow
def test_the_command_does_a_study_and_then_nothing(tmp_path, vdprobe):
    file = tmp_path / "small.yaml"
    file.write_text(SMALL.replace("PLACE", str(tmp_path)))
    out = tmp_path / "out"
    status, printed, said = vdprobe("run", file, "--out", out, "--workers", 1)
    assert status == 0, said
    assert "[2/2] consistency" in said
    assert (out / "consistency" / "summary.csv").exists()
    assert (out / "consistency" / "figures" / "consistency-paper.pdf").exists()
    status, printed, said = vdprobe("run", file, "--out", out, "--dry-run", "--json")
    assert status == 0
    assert "2 of 2 tasks are done" in said
    assert [row["do"] for row in json.loads(printed)] == ["moving-shapes", "analyze"]
    status, _, said = vdprobe("run", file, "--out", out, "--set", "steps.consistency.config.faetures={}")
    assert status == 2
    assert "another configuration" in said or "unknown option" in said
