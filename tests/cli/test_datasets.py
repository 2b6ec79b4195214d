import json

import pytest

from vdprobe.data.sources import find_videos


def test_make_writes_the_splits_that_are_named(vdprobe, tmp_path):
    folder = tmp_path / "shapes"
    options = ("--val", 2, "--held-out", 1, "--easy-val", 2, "--easy-held-out", 1, "--frames", 3, "--side", 32)
    status, out, err = vdprobe("datasets", "make", folder, *options, "--json")
    assert status == 0, err
    report = json.loads(out)
    assert report["folder"] == str(folder)
    named = {"val": 2, "held-out": 1, "easy-val": 2, "easy-held-out": 1}
    assert {split: row["videos"] for split, row in report["splits"].items()} == named
    for split, row in report["splits"].items():
        videos = find_videos(folder, split=split).videos
        assert len(videos) == row["videos"]
        assert sum(len(video.expressions) for video in videos) == row["expressions"]
        assert all(len(video.frame_names) == 3 for video in videos)
    assert not (folder / "train").exists()

    status, out, err = vdprobe("datasets", "make", folder)
    assert (status, out) == (1, "")
    assert "is there and not empty; give a new folder" in err


def test_make_writes_all_splits_when_none_is_named(vdprobe, tmp_path, monkeypatch):
    from vdprobe.cli.datasets import VIDEOS
    from vdprobe.data.moving_shapes.splits import SPLITS

    assert list(VIDEOS) == list(SPLITS)
    monkeypatch.setattr("vdprobe.cli.datasets.VIDEOS", dict.fromkeys(SPLITS, 1))
    status, out, err = vdprobe("datasets", "make", tmp_path / "shapes", "--frames", 1, "--side", 16)
    assert (status, out) == (0, "")
    assert "8 videos in" in err
    for split in SPLITS:
        assert f"{split}: " in err
        assert find_videos(tmp_path / "shapes", split=split).videos


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--val", 201), "split 'val' of MovingShapes has videos 0 to 199, not 200"),
        (("--val", 0), "0 is not at least 1"),
        (("--side", 8), "8 is not at least 16"),
    ],
)
def test_what_cannot_be_made(vdprobe, tmp_path, options, message):
    status, _, err = vdprobe("datasets", "make", tmp_path / "shapes", *options)
    assert status == 2
    assert message in err
    assert not (tmp_path / "shapes").exists()


def test_check_says_what_is_missing(vdprobe, tmp_path):
    folder = tmp_path / "shapes"
    assert vdprobe("datasets", "make", folder, "--val", 2, "--test", 1, "--frames", 2, "--side", 32)[0] == 0
    status, out, err = vdprobe("datasets", "check", folder)
    assert status == 0, err
    header, *rows = [line.split() for line in out.splitlines()][:3]
    assert header == ["split", "layout", "listed", "videos", "frames", "masks", "objects", "expressions"]
    assert [row[:6] for row in rows] == [
        ["test", "ref-davis", "1", "1", "2", "2"],
        ["val", "ref-davis", "2", "2", "4", "4"],
    ]

    masks = sorted((folder / "val" / "Annotations").iterdir())
    for path in [*masks[0].iterdir(), *masks[1].iterdir()]:
        path.unlink()
    status, out, _ = vdprobe("datasets", "check", folder, "--split", "val")
    assert status == 1
    assert "val: wrong: 4 masks missing" in out
    assert "  and 1 more: --json has all" in out
    status, out, _ = vdprobe("datasets", "check", folder, "--split", "val", "--json")
    assert status == 1
    (report,) = json.loads(out)["splits"]
    assert (report["split"], report["complete"], report["masks"]) == ("val", False, 0)
    (missing,) = [finding for finding in report["findings"] if finding["what"] == "masks missing"]
    assert (missing["count"], len(missing["lines"]), missing["wrong"]) == (4, 4, True)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--layout", "mevi"), 2, "unknown layout 'mevi'; did you mean 'mevis'"),
        (("--layout", "ref-davis"), 1, "has no folder of frames|there is no"),
        ((), 1, "it fits no layout"),
    ],
)
def test_what_cannot_be_checked(vdprobe, tmp_path, options, status, message):
    got, out, err = vdprobe("datasets", "check", tmp_path, *options)
    assert got == status
    assert any(part in out + err for part in message.split("|"))


def test_the_layouts_on_offer_are_those_there_are():
    from typing import get_args

    from vdprobe.cli.options import LAYOUTS
    from vdprobe.data.layouts import Layout

    assert LAYOUTS.rstrip(".").replace(" or ", ", ").split(", ") == list(get_args(Layout))
