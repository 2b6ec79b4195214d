"""The script on studies that `run_study` made of the files in `experiments/`, with planted scores and masks."""

import importlib
import io
import json
import runpy
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vdprobe.data.masks import read_object_mask
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.data.sources import find_videos
from vdprobe.specs.load import merge, read_yaml
from vdprobe.studies.analysis.by_name import ANALYSES
from vdprobe.studies.study.run import run_study
from vdprobe.studies.study.steps import STEPS

ROOT = Path(__file__).parents[2]
SCORES = {
    "VD-I": 40,
    "VD-T": 50,
    "VD-IT": 45,  # below VD-T: a claim that does not hold
    "predicted-noise": 46,
    "random-UNet": 20,
    "raw-pixels": 10,
    "shuffled-texts": 5,
}
SHIFTS = {"VD-I": 6, "VD-T": 3, "VD-IT": 2, "predicted-noise": 0, "raw-pixels": 9}
"""Pixels by which masks jump in odd frames."""


def planted_scores(values, folder, context):
    """Of two videos and a seed: J is the arm's score, F is 2 more; the seed adds to both, the video to one arm."""
    arm, seed = folder.parts[-2:]
    base = SCORES[arm] + 3 * int(seed)
    odd = (3, -3) if arm == "predicted-noise" else (0, 0)
    rows = [{"video": f"v{k}", "J": (base + odd[k]) / 100, "F": (base + 2 + odd[k]) / 100} for k in range(2)]
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    (folder / "report.json").write_text(json.dumps({"split": values["split"]}))
    return {}


def planted_report(values, folder, context):
    """Scores of one evaluation, of which the mean over tracks is known; not those of seeds."""
    rows = [{"video": f"v{k}", "expression": "0", "object": "1", "J": 0.6 + 0.1 * k, "F": 0.7} for k in range(2)]
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    report = {"protocol": values["protocol"], "split": values["split"], "counts": {"videos": 2}}
    report |= {"scores": {"J&F": 0.675, "J": 0.65, "F": 0.7}} | {
        k: [] for k in ("missing", "unscored", "extra", "notes")
    }
    (folder / "report.json").write_text(json.dumps(report))
    return {}


def jumping_masks(values, folder, context):
    """True masks, moved in odd frames; of the first seed alone, which is all that is looked at."""
    arm, seed = folder.parts[-2:]
    videos = values["config"]["features"]["videos"]
    if seed != "0" or arm not in SHIFTS or videos["split"] != "test":
        return {}
    for video in find_videos(videos["path"], split="test").videos:
        for expression in video.expressions:
            place = folder / "masks" / video.id / expression.id
            place.mkdir(parents=True)
            for k, mask in enumerate(read_object_mask(video, expression.object_ids, range(len(video.frame_names)))):
                moved = np.roll(mask, SHIFTS[arm] * (k % 2), axis=1)
                Image.fromarray(255 * moved.astype(np.uint8)).save(place / f"{k:05d}.png")
    return {}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of five studies: heads and masks are planted, all else is done as `vdprobe run` does it."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    write_moving_shapes(folder / "videos", {"test": 2}, side=32)
    dataset = {"path": str(folder / "videos")}
    stand_ins = {"train-head": lambda *_: {}, "predict": jumping_masks, "evaluate": planted_scores}

    def study(name, values):
        given = merge(read_yaml(ROOT / "experiments" / f"{name}.yaml"), {"values": {"dataset": dataset, **values}})
        given["steps"].pop("roi-similarity", None)
        run_study(given, folder / name)

    with pytest.MonkeyPatch.context() as patch:
        for do, stand_in in stand_ins.items():
            patch.setitem(STEPS, do, stand_in)
        study("components", {"seeds": [0, 1], "splits": ["test", "held-out"]})
        study("learning", {"seeds": [0, 1], "splits": ["test"], "shown": "test", "difficulties": ["order"]})
        for do, stand_in in {"predict": lambda *_: {}, "submit": lambda *_: {}, "evaluate": planted_report}.items():
            patch.setitem(STEPS, do, stand_in)
        study("main_ref-youtube-vos", {})
    study("stability", {"predictions": str(folder / "components" / "masks" / "test")})
    study(
        "consistency",
        {
            "model": "random:tiny",
            "limit": 2,
            "resize": {"short_side": 64},
            "store": str(folder / "store"),
            "features": {"model": {"adapter": "random:0", "device": "cpu"}, "taps": ["unet.up.2"]},
            "controls": {"random UNet": {"model": {"pipeline": "random:tiny:7"}}},
        },
    )
    return folder


@pytest.fixture
def runs(made, tmp_path):
    """A copy that may be damaged, without what no script may need; the paths in its records are still the old ones."""
    shutil.copytree(made, tmp_path / "runs", ignore=shutil.ignore_patterns("store", "videos", "parts"))
    return tmp_path / "runs"


def rebuild(*arguments):
    """Runs the script as a user types it; gives (exit status, stdout, stderr)."""
    printed, said = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(said):
        patch.syspath_prepend(ROOT / "analysis")
        patch.setattr(sys, "argv", ["rebuild.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / "analysis" / "rebuild.py"), run_name="__main__")
    return end.value.code, printed.getvalue(), said.getvalue()


@pytest.fixture(scope="module")
def rebuilt(made, tmp_path_factory):
    """The folder that the script filled, and what it printed."""
    out = tmp_path_factory.mktemp("rebuilt") / "out"
    status, printed, said = rebuild(made, "--out", out)
    assert status == 0
    assert said == (
        "no figure: main_ref-youtube-vos/table: a comparison has none, and intervals need two videos with a value\n"
    )
    return out, printed


@pytest.fixture
def undrawn(monkeypatch):
    """Every step has one figure at once, where nothing but the texts and tables is looked at."""
    monkeypatch.syspath_prepend(ROOT / "analysis")
    monkeypatch.setattr(importlib.import_module("measurements"), "draw", lambda found, out: [out / "one.pdf"])


def read(out, name):
    return pd.read_csv(out / name, keep_default_na=False, dtype={"status": str})


@pytest.mark.slow
def test_every_figure_is_drawn_again_with_the_same_bytes(made, rebuilt):
    out, printed = rebuilt
    steps = {
        "components/table/test": "",
        "components/table/held-out": "",
        "learning/table/test": "",
        "learning/tables/order/test": "",
        "learning/texts": "figures",
        "stability/stability": "figures",
        "consistency/consistency": "figures",
    }
    again = set()
    for step, inside in steps.items():
        before = {p.name: p for p in (made / step / inside).glob("*") if p.suffix in (".pdf", ".png")}
        assert before
        for name, path in before.items():
            again.add(out / "figures" / step / name)
            assert (out / "figures" / step / name).read_bytes() == path.read_bytes(), path
            assert (out / "figures" / step / name).with_suffix(".csv").is_file()
    assert {Path(line) for line in printed.split()} == {p for p in again if p.suffix == ".pdf"} | {
        out / "side_by_side.md"
    }
    assert {p for p in (out / "figures").rglob("*.p[dn]*") if p.is_file()} == again


def test_the_order_of_the_folders_changes_nothing(made, rebuilt, undrawn, tmp_path):
    first, _ = rebuilt
    rebuild(made / "stability", made / "consistency", made / "components", made, "--out", tmp_path)
    for name in ("side_by_side.csv", "claims.csv", "side_by_side.md"):
        before, after = ((out / name).read_text().partition("## Steps")[0] for out in (first, tmp_path))
        assert before == after


def test_the_papers_numbers_stand_beside_ours(made, rebuilt):
    out, _ = rebuilt
    table = read(out, "side_by_side.csv")
    row = table[(table["source"] == "Table D") & table["what"].str.startswith("VD-T") & (table["at"] == "")]
    assert row["step"].tolist() == ["components/table/test", "components/table/held-out"]
    first = row.iloc[0]
    # J 50 and F 52, and 3 more under the second seed
    assert [float(first[name]) for name in ("paper", "ours", "low", "high")] == pytest.approx([61.9, 52.5, 52.5, 52.5])
    assert float(first["seed_sd"]) == pytest.approx(3 / np.sqrt(2))
    assert (int(first["videos"]), int(first["seeds"])) == (2, 2)
    assert (first["model"], first["data"]) == ("tiny-t2v", f"{made / 'videos'}, test")
    assert first["note"] == "needs the real weights"
    only_j = table[(table["source"] == "Table A") & (table["metric"] == "J") & (table["ours"] != "")]
    assert only_j["paper"].tolist() == ["63.1", "64.4"]  # with and without the first training: one head has one of them
    for j in only_j.to_dict("records"):
        assert [float(j[name]) for name in ("ours", "low", "high")] == pytest.approx([65, 60, 70])
        assert (j["videos"], j["seeds"], j["step"]) == ("", "", "main_ref-youtube-vos/table")
        assert (j["model"], j["data"]) == ("ali-vilab/text-to-video-ms-1.7b", f"{made / 'videos'}, valid")
        assert j["note"] == "head: runs/vdit"
    steady = table[(table["source"] == "Table E") & (table["paper"] == "5.19")]
    assert (steady["step"].item(), float(steady["ours"].item())) == ("stability/stability", 0)  # masks do not jump
    assert steady["model"].item() == "tiny-t2v"  # of the heads, in another study
    figure = table[table["source"] == "Figure 4"]
    assert figure["paper"].tolist() == ["figure only"] * 2
    assert figure["model"].tolist() == ["random:tiny"] * 2
    assert figure["at"].tolist() == ["unet.up.2 at t = 0, gaussian noise, vd-it"] * 2
    summary = pd.read_csv(made / "consistency" / "consistency" / "summary.csv")
    mine = summary[(summary["backbone"] == "random:tiny") & (summary["condition"] == "vd-it")]
    mine = mine[(mine["estimator"] == "paper") & (mine["region"] == "object")].set_index("gap")["mean"]
    assert figure["ours"].astype(float).tolist() == pytest.approx([mine[1], mine[7]])
    light = table[table["source"] == "Figure 5"]
    assert (light["ours"].item(), light["note"].item()) == (
        "",
        "not measured (experiments/lighting.yaml); needs the real weights",
    )
    mean_iou = table[(table["source"] == "Table B") & (table["metric"] == "mean IoU")]
    assert set(mean_iou["note"]) == {"not measured (experiments/main_a2d-jhmdb.yaml); needs the real weights"}
    assert set(table.loc[table["what"] == "SgMg", "note"]) == {"no study measures it; needs the real weights"}


def test_claims_hold_or_not_or_are_open(made, rebuilt):
    out, _ = rebuilt
    table = read(out, "claims.csv")
    heads = table[table["step"] == "components/table/test"].set_index(["first", "second"])
    assert heads["verdict"].to_dict() == {
        ("VD-T", "VD-I"): "holds",
        ("VD-IT", "VD-T"): "does not hold",
        ("predicted noise", "VD-IT"): "undecided (interval includes 0)",
        ("VD-IT", "random UNet"): "holds",
        ("VD-IT", "raw pixels"): "holds",
    }
    words = table[table["step"] == "learning/table/test"]
    controls = ["random UNet", "raw pixels", "shuffled texts"]
    assert words[["first", "second", "verdict"]].to_numpy().tolist() == [["VD-IT", name, "holds"] for name in controls]
    numbers = heads[["ours", "low", "high"]].astype(float)
    assert numbers.loc[("VD-T", "VD-I")].tolist() == pytest.approx([10, 10, 10])
    assert numbers.loc[("VD-IT", "VD-T")].tolist() == pytest.approx([-5, -5, -5])  # the table has VD-T minus VD-IT
    assert numbers.loc[("predicted noise", "VD-IT")].tolist() == pytest.approx([1, -2, 4])
    assert [float(heads.loc[(a, b), "paper"]) for a, b in heads.index[:3]] == [2.2, 1.9, 1.0]
    assert heads["paper"].tolist()[3:] == [""] * 2  # controls, of which the paper says nothing
    steady = table[table["step"] == "stability/stability"]
    assert steady["verdict"].tolist() == ["holds"] * 4
    assert (steady["ours"].astype(float) < 0).all()
    against = table[(table["step"] == "consistency/consistency") & (table["second"] == "random UNet")]
    assert set(against["at"]) == {"unet.up.2 at t = 0, gaussian noise, vd-t"}
    differences = pd.read_csv(made / "consistency" / "consistency" / "differences.csv")
    mine = differences[(differences["factor"] == "backbone") & (differences["gap"] == 7)]
    mine = mine[(mine["condition"] == "vd-t") & (mine["region"] == "object") & (mine["second"] == "random UNet")]
    for row, estimator in zip(against.to_dict("records"), ("masked_mean_centred", "paper"), strict=True):
        found = mine[mine["estimator"] == estimator]
        assert [float(row[name]) for name in ("ours", "low", "high")] == pytest.approx(
            found[["mean", "low", "high"]].iloc[0].tolist()
        )
    missing = table[table["note"].str.contains("experiments/noise.yaml")]
    assert missing["verdict"].tolist() == ["not measured"]


def test_what_a_reader_sees(made, rebuilt):
    out, _ = rebuilt
    text = (out / "side_by_side.md").read_text()
    places = [text.index(f"\n## {name}\n") for name in ("Table A", "Table D", "Figure 5", "Claims", "Steps")]
    assert places == sorted(places)
    assert (
        "| VD-T: text tokens, Gaussian noise | J&F | 61.9 | N | ModelScopeT2V, frozen | Ref-YouTube-VOS "
        f"| 52.50 | 52.50 to 52.50 | 2 | 2 | tiny-t2v | {made}/videos, test |  | components/table/test "
        "| needs the real weights |"
    ) in text
    assert "| -5.00 | -5.00 to -5.00 | does not hold | 2 | 2 | 2.12 | tiny-t2v |" in text
    assert "| stability/stability | Do masks flicker? (Table E) | 2 | 0 |  |" in text


def test_an_interrupted_study_is_named_and_the_rest_goes_on(runs, tmp_path):
    (runs / "components" / "table" / "test" / "done.json").unlink()
    (runs / "consistency" / "consistency" / "summary.csv").unlink()
    (runs / "main_ref-youtube-vos" / "table" / "table.csv").unlink()
    status, _, said = rebuild(runs, "--out", tmp_path / "out")
    assert status == 1
    lines = said.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("failed: components/table/test: there is no ")
    assert lines[0].endswith("done.json; run the study again, it goes on where it was")
    assert lines[1].startswith("failed: consistency/consistency: there is no ")
    assert lines[2].startswith("failed: main_ref-youtube-vos/table: there is no ")
    steps = set(read(tmp_path / "out", "side_by_side.csv")["step"]) - {""}
    tables = {"components/table/held-out", "learning/table/test", "learning/tables/order/test"}
    assert steps == {*tables, "stability/stability"}
    assert (tmp_path / "out" / "figures" / "stability" / "stability" / "stability.pdf").is_file()
    assert not (tmp_path / "out" / "figures" / "consistency").exists()
    text = (tmp_path / "out" / "side_by_side.md").read_text()
    assert lines[0].partition(": ")[2].partition(": ")[2] in text


def test_videos_that_could_not_be_measured_are_counted(runs, undrawn, tmp_path):
    with (runs / "stability" / "stability" / "failures.csv").open("a") as file:
        file.write("a,b\nc,d\n")
    rebuild(runs / "stability", "--out", tmp_path / "out")
    assert (
        "| stability/stability | Do masks flicker? (Table E) | 1 | 2 |  |"
        in (tmp_path / "out" / "side_by_side.md").read_text()
    )


def test_a_model_that_no_given_study_names_is_not_guessed(made, undrawn, tmp_path):
    rebuild(made / "stability", "--out", tmp_path)
    table = read(tmp_path, "side_by_side.csv")
    row = table[table["step"] == "stability/stability"].iloc[0]
    assert row["model"] == "not known: none of the studies given made it"
    assert row["note"] == "give the study that trained the head too"


def test_a_folder_without_a_study(made, tmp_path):
    status, printed, said = rebuild(made, tmp_path, "--out", tmp_path / "out")
    assert (status, printed) == (1, "")
    assert said == (
        f"error: {tmp_path} holds no study (study.json); give folders that `vdprobe run` wrote, or one of such\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_record_of_another_kind(runs, tmp_path):
    (runs / "stability" / "study.json").write_text('{"study": {"title": "x", "stages": {}}}')
    status, _, said = rebuild(runs, "--out", tmp_path / "out")
    assert status == 1
    assert said.startswith(f"error: {runs}/stability/study.json is not a record as `vdprobe run` writes it (")
    assert "did you mean 'steps'" in said
    assert said.count("\n") == 1


@pytest.fixture
def scripts(monkeypatch):
    """The modules of the script."""
    monkeypatch.syspath_prepend(ROOT / "analysis")
    return lambda name: importlib.import_module(name)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("tiny-t2v", "needs the real weights"),
        ("random-unet:damo-vilab/text-to-video-ms-1.7b", "needs the real weights"),
        ("damo-vilab/text-to-video-ms-1.7b@main", ""),
        ("ali-vilab/text-to-video-ms-1.7b", ""),
        ("cerspense/zeroscope_v2_576w", "by its name another model than the paper's"),
    ],
)
def test_what_is_said_of_a_model(scripts, model, said):
    assert scripts("side_by_side").note(model) == said


def test_the_papers_rows_name_what_there_is(scripts):
    paper = scripts("paper")
    numbers, claims = paper.read_numbers(), paper.read_claims()
    studies = {path.name: read_yaml(path) for path in (ROOT / "experiments").glob("*.yaml")}
    for row in (*numbers, *claims):
        if not row.by:
            assert row.study == ""
            continue
        steps = studies[row.study]["steps"].values()
        done = {step["config"].get("analysis") if step["do"] == "analyze" else step["do"] for step in steps}
        assert row.by in done, row
    for row in numbers:
        keys = ANALYSES[row.by].keys if row.by in ANALYSES else ("",)
        assert len(row.ours.split(" / ")) == len(keys), row
    for claim in claims:
        keys = ("metric",) if claim.by == "collect" else ANALYSES[claim.by].keys
        assert len(claim.metric.split(" / ")) == len([key for key in keys if key != claim.factor]), claim
        assert claim.by == "collect" or claim.factor in ANALYSES[claim.by].factors


def test_studies_and_the_papers_rows_agree(scripts):
    numbers = scripts("paper").read_numbers()
    table = read_yaml(ROOT / "experiments" / "components.yaml")["steps"]["table"]["config"]["paper"]
    assert table == {n.arm: n.number for n in numbers if n.source == "Table D"}
    published = [
        (path.name, name, score, number)
        for path in (ROOT / "experiments").glob("main_*.yaml")
        for rows in (read_yaml(path)["steps"]["table"]["config"].get("published") or {},)
        if not isinstance(rows, str)
        for scores_of in rows.values()
        for name, scores in scores_of.items()
        for score, number in scores.items()
    ]
    assert sorted(published) == sorted((n.study, n.arm, n.ours, n.number) for n in numbers if n.by == "compare")
