"""Clips around single frames, as a user asks for them."""

import json


def test_a_plan_and_an_extraction(vdprobe, published, tmp_path):
    dataset = published.write_jhmdb(tmp_path / "jhmdb")
    asked = ("--model", "pixels", "--videos", dataset, "--layout", "jhmdb", "--set", "videos.split=test")
    asked += ("--set", "clips.kind=centred", "--set", "resize={short_side: 32, long_side: null}")
    asked += ("--store", tmp_path / "store")
    status, out, err = vdprobe("extract", *asked, "--dry-run", "--json")
    assert status == 0, err
    clips = [row["clip"] for row in json.loads(out)["would_write"]]
    assert clips == ["Goal_catch_0[0..2]", "Goal_catch_0[0..3]", "Goal_catch_0[0..3]"]
    assert vdprobe("plan", *asked)[0] == 0
    status, _, err = vdprobe("extract", *asked)
    assert (status, "3 items written" in err) == (0, True)
    status, _, err = vdprobe("extract", *asked)
    assert (status, "0 items written" in err, "3 were there" in err) == (0, True, True)


def test_a_dataset_of_whole_videos(vdprobe, published, tmp_path):
    dataset = published.write_ytvos(tmp_path / "ytvos")
    asked = ("--model", "pixels", "--videos", dataset, "--set", "clips.kind=centred", "--store", tmp_path / "store")
    status, _, err = vdprobe("extract", *asked)
    assert status == 1
    assert "failed: 0062f687f1/0: is about no single frame, and clips of kind 'centred' are made around one" in err
    status, _, err = vdprobe("extract", *asked, "--set", "clips.kind=centered")
    assert (status, "'centred'" in err.splitlines()[-1]) == (2, True)


def test_an_adapter_is_not_trained_on_single_frames(vdprobe, published, tmp_path):
    dataset = published.write_ytvos(tmp_path / "ytvos")
    asked = ("--model", "random:tiny", "--videos", dataset, "--steps", 1, "--out", tmp_path / "out")
    status, _, err = vdprobe("train-adapter", *asked, "--set", "clips.kind=centred")
    assert (status, "clips cannot be 'centred' on one" in err.splitlines()[-1]) == (2, True)
