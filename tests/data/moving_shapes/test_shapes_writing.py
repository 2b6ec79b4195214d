"""MovingShapes on disk: what was made is what is read."""

import json

import numpy as np
import pytest
from PIL import Image

from vdprobe.data.frames import FrameReader
from vdprobe.data.moving_shapes import make_video
from vdprobe.data.moving_shapes.splits import WORLD
from vdprobe.data.moving_shapes.write import check_world, write_moving_shapes
from vdprobe.data.sources import find_videos
from vdprobe.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "shapes"
    seen = []
    written = write_moving_shapes(
        folder, {"val": 3, "held-out": 2}, frames=4, side=64, start=5, on_progress=lambda *numbers: seen.append(numbers)
    )
    assert seen == [(k, 5) for k in range(1, 6)]
    assert list(written) == ["val", "held-out"]
    return folder


@pytest.mark.parametrize(("split", "count"), [("val", 3), ("held-out", 2)])
def test_it_reads_as_ref_davis(folder, split, count):
    found = find_videos(folder, split=split)
    assert not found.failures
    assert [video.id for video in found.videos] == [f"{split}-{5 + i:05d}" for i in range(count)]
    for i, video in enumerate(found.videos):
        made = make_video(split, 5 + i, frames=4, side=64)
        assert [(e.text, e.object_id, e.difficulty) for e in video.expressions] == [
            (r.text, str(r.object + 1), r.difficulty) for r in made.referrals
        ]
        with FrameReader(video) as reader:
            frames = reader.read((0, 1, 2, 3))
        assert abs(frames.astype(int) - made.rendering.frames).mean() < 6  # JPEG


def test_masks_hold_object_ids(folder):
    made = make_video("val", 6, frames=4, side=64)
    for f in range(4):
        with Image.open(folder / "val" / "Annotations" / "val-00006" / f"{f:05d}.png") as mask:
            assert mask.mode == "P"
            assert mask.getpalette()[3:6] == [128, 0, 0]
            np.testing.assert_array_equal(np.array(mask), made.rendering.labels[f])


def test_json(folder):
    made = make_video("held-out", 5, frames=4, side=64)
    listed = json.loads((folder / "meta_expressions/held-out/meta_expressions.json").read_text())["videos"]
    entry = listed["held-out-00005"]
    assert entry["caption"] == made.caption
    assert entry["frames"] == ["00000", "00001", "00002", "00003"]
    assert [e["difficulty"] for e in entry["expressions"].values()] == [r.difficulty for r in made.referrals]
    objects = json.loads((folder / "held-out/meta.json").read_text())["videos"]["held-out-00005"]["objects"]
    for k, thing in enumerate(made.scene.objects):
        shown = [f"{f:05d}" for f in range(4) if (made.rendering.labels[f] == k + 1).any()]
        looks = {"category": thing.shape, "colour": thing.colour, "texture": thing.texture, "size": thing.size}
        assert objects.get(str(k + 1)) == ({**looks, "frames": shown} if shown else None)


def test_videos_of_another_world_are_told(folder, tmp_path):
    check_world(folder)
    check_world(tmp_path / "missing")
    meta = tmp_path / "val" / "meta.json"
    meta.parent.mkdir()
    listed = json.loads((folder / "val/meta.json").read_text())
    assert listed["world"] == WORLD
    for world, written in ((1, {"videos": listed["videos"]}), (99, {**listed, "world": 99})):
        meta.write_text(json.dumps(written))
        with pytest.raises(
            DataError, match=rf"version {world} of MovingShapes.* makes version {WORLD}.*another folder"
        ):
            check_world(tmp_path)
    meta.write_text(json.dumps({"videos": {"a": {"objects": {"1": {"category": "dog"}}}}}))
    check_world(tmp_path)  # of another dataset


def test_processes_change_nothing(folder, tmp_path):
    write_moving_shapes(tmp_path, {"val": 3}, frames=4, side=64, start=5, processes=2)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 2 + 3 * 8
    for file in files:
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes(), file


def test_an_interrupted_split_is_seen(tmp_path):
    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_moving_shapes(tmp_path, {"val": 3, "test": 2}, frames=2, side=32, on_progress=stop)
    assert len(find_videos(tmp_path, split="val").videos) == 3
    with pytest.raises(ConfigError, match="has no split 'test'"):
        find_videos(tmp_path, split="test")


def test_after_a_stop_the_same_command_makes_it_all(tmp_path):
    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    counts = {"val": 3, "test": 2}
    with pytest.raises(KeyboardInterrupt):
        write_moving_shapes(tmp_path / "a", counts, frames=2, side=32, on_progress=stop)
    assert not (tmp_path / "a" / "meta_expressions" / "test").exists()
    write_moving_shapes(tmp_path / "a", counts, frames=2, side=32)
    write_moving_shapes(tmp_path / "b", counts, frames=2, side=32)
    made = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in sorted(tmp_path.iterdir())]
    assert made[0] == made[1]
    with pytest.raises(DataError, match="is there and not empty"):
        write_moving_shapes(tmp_path / "a", counts, frames=2, side=32)


def test_a_full_disk_is_said_with_the_folder(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("PIL.Image.Image.save", full)
        with pytest.raises(DataError, match=r"cannot write into .*/a: No space left on device; free space and run it"):
            write_moving_shapes(tmp_path / "a", {"val": 1}, frames=2, side=32)
    write_moving_shapes(tmp_path / "a", {"val": 1}, frames=2, side=32)


def test_what_cannot_be_written(tmp_path):
    new = tmp_path / "new"
    for counts, message in (
        ({}, "no split of MovingShapes is named"),
        ({"vla": 2}, "no split 'vla': did you mean 'val'"),
        ({"val": 0}, "split 'val' of MovingShapes wants at least 1 video, not 0"),
        ({"train": 1, "test": 201}, "split 'test' of MovingShapes has videos 0 to 199, not 200"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_moving_shapes(new, counts)
    with pytest.raises(ConfigError, match="at least 1 frame of 16 pixels a side, not 8 of 15"):
        write_moving_shapes(new, {"val": 1}, side=15)
    assert not new.exists()
    (tmp_path / "notes.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(DataError, match="is there and not empty; give a new folder"):
            write_moving_shapes(place, {"val": 1})
