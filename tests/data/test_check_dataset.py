import json
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image
from published import (
    STEMS,
    box,
    write_a2d,
    write_davis17,
    write_jhmdb,
    write_json,
    write_mevis,
    write_refcoco,
    write_ytvos,
)
from synthetic_media import write_frames

from vdprobe.data.check_dataset import PUBLISHED, REMARKS, WRONG, check_dataset
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.data.rle import encode_rle
from vdprobe.errors import ConfigError, DataError

TRAIN = "meta_expressions/train/meta_expressions.json"


@pytest.fixture(autouse=True)
def published(monkeypatch):
    """The made datasets are smaller than the published ones: no counts but those that a test sets."""
    monkeypatch.setattr("vdprobe.data.check_dataset.PUBLISHED", counts := {})
    return counts


@pytest.fixture
def ytvos(tmp_path):
    return write_ytvos(tmp_path)


def counts(check):
    return {finding.what: finding.count for finding in check.findings}


def lines(check, what):
    (found,) = [finding.lines for finding in check.findings if finding.what == what]
    assert all("\n" not in line for line in found)
    return found


@pytest.mark.parametrize(
    ("write", "splits", "of_first"),
    [
        (write_ytvos, ["train", "valid"], (1, 1, 3, 3, 2, 4)),
        (write_davis17, ["train", "valid"], (1, 1, 3, 3, 1, 4)),
        (write_mevis, ["valid", "valid_u"], (1, 1, 3, 0, 0, 1)),
        (write_a2d, ["train", "test"], (1, 1, 6, 3, 2, 3)),
        (write_jhmdb, ["test"], (1, 1, 4, 3, 1, 3)),
        (write_refcoco, ["val", "testA"], (1, 1, 1, 2, 2, 4)),
    ],
)
def test_whole_datasets_are_complete(tmp_path, write, splits, of_first):
    seen = []
    checks = check_dataset(write(tmp_path), on_progress=lambda *done: seen.append(done))
    checks = [check for check in checks if check.split != "test" or write is not write_ytvos]
    assert [check.split for check in checks] == splits
    assert all(check.complete for check in checks), [check.findings for check in checks]
    first = checks[0]
    counted = (first.listed, first.videos, first.frames, first.masks, first.objects, first.expressions)
    assert counted == of_first
    assert seen[0] == (1, 1)


def test_moving_shapes_and_plain_folders_are_complete(tmp_path):
    write_moving_shapes(tmp_path / "shapes", {"val": 2}, frames=2, side=32)
    (check,) = check_dataset(tmp_path / "shapes", split="val")
    assert check.complete and check.masks == 4
    write_frames(tmp_path / "plain" / "dog")
    (check,) = check_dataset(tmp_path / "plain")
    assert (check.complete, check.layout, check.videos, check.frames) == (True, "frames", 1, 3)


def test_everything_wrong_is_counted_at_once(ytvos, published):
    published["ref-ytvos", "train"] = {"videos": 3471, "objects": 2}
    file = ytvos / TRAIN
    value = json.loads(file.read_text())
    (entry,) = value["videos"].values()
    whole = json.loads(json.dumps(entry))
    entry["expressions"] |= {
        "4": {"exp": "Text  0", "obj_id": "1"}, "5": {"exp": " ", "obj_id": "1"}, "6": {"exp": "x", "obj_id": ["1"]},
        "7": {"exp": "nobody"}, "8": {"exp": "a third", "obj_id": "3"},
    }  # fmt: skip
    value["videos"] |= {"short": {**whole, "frames": [*STEMS, "00015", "00020"]}, "gone": whole, "bare": whole}
    value["videos"]["odd"] = {"expressions": {}}
    write_json(file, value)
    images, masks = ytvos / "train" / "JPEGImages", ytvos / "train" / "Annotations" / "003234408d"
    for id in ("short", "bare"):
        shutil.copytree(images / "003234408d", images / id)
    Image.open(masks / "00000.png").convert("RGB").save(masks / "00000.png")
    (masks / "00005.png").unlink()
    labels = np.zeros((12, 16), np.uint8)
    labels[0, :3] = 1, 2, 9
    Image.fromarray(labels).save(masks / "00010.png")

    (check,) = check_dataset(ytvos, "ref-ytvos", "train")
    assert (check.listed, check.videos, check.frames, check.masks) == (5, 2, 6, 1)
    assert counts(check) == {
        "videos that cannot be used": 1,
        "expressions that cannot be used": 1,
        "frames missing": 2 + 3,
        "texts empty": 1,
        "expressions without a target": 1,
        "videos without masks": 1,
        "masks missing": 1,
        "masks of another size or kind": 1,
        "objects that are in no mask": 1,
        "counts other than published": 2,
        "texts that stand twice for the same object": 1,
        "ids in masks that no expression means": 1,
    }
    assert not check.complete
    assert lines(check, "objects that are in no mask") == ("003234408d: object '3'",)
    assert lines(check, "ids in masks that no expression means") == ("003234408d: 9",)
    assert lines(check, "texts that stand twice for the same object") == ("003234408d/4: 'Text  0', as 0",)
    assert lines(check, "counts other than published")[0] == "2 videos of use, published 3471"
    assert "2 of 5 frames are missing" in "".join(lines(check, "frames missing"))
    assert [finding.wrong for finding in check.findings] == [True] * 10 + [False] * 2


def test_masks_of_another_size_and_damaged_ones(ytvos):
    masks = ytvos / "train" / "Annotations" / "003234408d"
    Image.new("L", (8, 6)).save(masks / "00005.png")
    (masks / "00010.png").write_bytes(b"no png")
    (check,) = check_dataset(ytvos, split="train")
    assert counts(check) == {"masks of another size or kind": 1, "masks that cannot be read": 1}
    assert "00005.png is 8x6 pixels" in lines(check, "masks of another size or kind")[0]


def test_masks_of_davis_2016_are_recognised(ytvos):
    for path in (ytvos / "train" / "Annotations" / "003234408d").iterdir():
        Image.fromarray((np.asarray(Image.open(path)) > 0).astype(np.uint8) * 255).save(path)
    (check,) = check_dataset(ytvos, split="train")
    assert counts(check) == {"objects that are in no mask": 1, "videos whose masks hold 0 and 255 alone": 1}
    assert lines(check, "videos whose masks hold 0 and 255 alone") == (
        "003234408d: 255 is read as object '1', as in DAVIS 2016",
    )
    assert lines(check, "objects that are in no mask") == (
        "003234408d: object '2'; 0 and 255 do not tell objects apart: take the masks of DAVIS 2017",
    )


def test_void_is_no_id(ytvos):
    for path in (ytvos / "train" / "Annotations" / "003234408d").iterdir():
        labels = np.asarray(Image.open(path)).copy()
        labels[-1] = 255
        Image.fromarray(labels).save(path)
    (check,) = check_dataset(ytvos, split="train")
    assert counts(check) == {}


def test_hidden_targets_are_no_fault(ytvos, published):
    published["ref-ytvos", "valid"] = {"videos": 2}
    (check,) = check_dataset(ytvos, "ref-ytvos", "valid")
    assert (check.complete, counts(check)) == (True, {"expressions whose objects are not told": 4})
    shutil.rmtree(ytvos / "meta_expressions" / "test")
    (check,) = check_dataset(ytvos, "ref-ytvos", "valid")
    assert lines(check, "counts other than published") == ("3 videos of use, published 2",)


def test_a_split_that_cannot_be_read_does_not_hide_the_others(ytvos):
    (ytvos / "meta_expressions" / "valid" / "meta_expressions.json").write_text("{")
    checks = {check.split: check for check in check_dataset(ytvos)}
    assert checks["train"].complete
    assert "is not valid JSON" in lines(checks["valid"], "splits that cannot be read")[0]
    with pytest.raises(ConfigError, match="no split 'trian'; did you mean 'train'"):
        check_dataset(ytvos, split="trian")
    with pytest.raises(DataError, match=r"there is no .*gone"):
        check_dataset(ytvos / "gone")


def test_masks_of_objects(tmp_path):
    write_mevis(tmp_path / "mevis")
    file = tmp_path / "mevis" / "valid_u" / "mask_dict.json"
    masks = json.loads(file.read_text())
    masks["3"] = [None, {"size": [3, 3], "counts": "9"}, encode_rle(np.zeros((12, 16), bool))]
    masks["4"] = [encode_rle(box(0, 0, 16, 12)), encode_rle(box(0, 0))]
    write_json(file, masks)
    (check,) = check_dataset(tmp_path / "mevis", split="valid_u")
    assert counts(check) == {
        "masks missing": 1,
        "masks of another size or kind": 2,
        "objects that are in no mask": 1,
        "expressions that mean nothing in their video": 1,
    }
    assert lines(check, "objects that are in no mask") == ("8d90: object '3'",)
    file.write_text("{")
    (check,) = check_dataset(tmp_path / "mevis", split="valid_u")
    assert counts(check)["masks that cannot be read"] == 1  # and not once for each frame


def test_annotated_frames(tmp_path):
    write_a2d(tmp_path / "a2d")
    masks = tmp_path / "a2d" / "text_annotations" / "a2d_annotation_with_instances" / "vA"
    (masks / "00005.h5").unlink()
    with h5py.File(masks / "00002.h5", "a") as file:
        file["instance"][...] = [0, 3]
    train = tmp_path / "a2d" / "a2d_sentences_single_frame_train_annotations.json"
    write_json(train, [*json.loads(train.read_text()), ["late", "vA", 7, 1], "no sample"])
    (check,) = check_dataset(tmp_path / "a2d", split="train")
    assert counts(check) == {
        "expressions that cannot be used": 1,
        "masks missing": 2,
        "masks that cannot be read": 1,
        "objects that are in no mask": 2,
    }
    assert "video 'vA' (" in lines(check, "masks that cannot be read")[0]
    assert "has no frame 6; it has 6, from 0 on" in lines(check, "masks that cannot be read")[0]
    assert check.listed == 1


def test_published_counts_are_of_layouts_that_exist():
    from typing import get_args

    from vdprobe.data.layouts import DATASETS, Layout

    assert {layout for layout, _ in PUBLISHED} <= set(DATASETS) <= set(get_args(Layout))
    assert PUBLISHED["ref-davis17", "valid"] == {"videos": 30, "objects": 61, "expressions": 244}
    assert not set(WRONG) & set(REMARKS)
