import json
from pathlib import Path

import numpy as np
import pytest
from published import TEXTS, box, write_davis17, write_json

from vdprobe.data.masks import read_object_mask
from vdprobe.data.sources import find_videos
from vdprobe.errors import ConfigError, DataError

DAVIS = Path(__file__).parents[2] / "../shared/davis"


@pytest.fixture
def davis(tmp_path):
    return write_davis17(tmp_path / "ref-davis")


def test_four_texts_an_object_in_the_order_of_the_protocol(davis):
    (video,) = find_videos(davis).videos
    assert video.id == "dogs-jump"
    assert [(e.id, e.object_id, e.text) for e in video.expressions] == [
        ("0", "1", "a black dog "), ("1", "1", "a dog jumping"), ("2", "1", "the left dog"), ("3", "1", "dog one"),
        ("4", "2", "a white dog"), ("5", "2", "a dog running"), ("6", "2", "the right dog"), ("7", "2", "dog two"),
    ]  # fmt: skip
    assert np.array_equal(read_object_mask(video, ("2",), (1,))[0], box(1, 7))


def test_objects_count_in_order_of_their_ids(davis):
    for file in (davis / "davis_text_annotations").iterdir():
        file.write_text('dogs-jump 8 "late"\ndogs-jump 1 "early"\n')
    (video,) = find_videos(davis).videos
    assert [e.object_id for e in video.expressions] == ["1"] * 4 + ["8"] * 4


def test_a_name_is_mended_and_latin_1_is_read(davis):
    (video,) = find_videos(davis, layout="ref-davis17", split="train").videos
    assert [e.text for e in video.expressions] == ["a green car", "a car turning", "a caf\u00e9 car", "the car"]


@pytest.mark.parametrize("inner", ["", "DAVIS"])
@pytest.mark.parametrize(
    ("masks", "taken"),
    [
        (("Annotations",), "Annotations"),
        (("Annotations", "Annotations_unsupervised"), "Annotations_unsupervised"),
        ((), None),
    ],
)
def test_where_masks_are_looked_for(tmp_path, inner, masks, taken):
    write_davis17(tmp_path, inner, masks)
    (video,) = find_videos(tmp_path, layout="ref-davis17").videos
    assert video.annotations == (taken and tmp_path / inner / taken / "480p" / "dogs-jump")


def test_a_converted_folder_is_read_as_such(davis):
    entry = {"expressions": {"0": {"exp": "a dog", "obj_id": "1"}}, "frames": ["00000"]}
    write_json(davis / "meta_expressions" / "valid" / "meta_expressions.json", {"videos": {"dogs-jump": entry}})
    (davis / "valid").mkdir()
    (davis / "DAVIS" / "JPEGImages" / "480p").rename(davis / "valid" / "JPEGImages")
    for layout in ("auto", "ref-davis17"):
        (video,) = find_videos(davis, layout=layout).videos
        assert [e.text for e in video.expressions] == ["a dog"]


def test_what_is_missing(davis):
    text = davis / "davis_text_annotations" / "Davis17_annot2.txt"
    text.write_text('dogs-jump 1 "the left dog"\ndogs-jump 1 "again"\n')
    (davis / "DAVIS" / "ImageSets" / "2017" / "val.txt").write_text("dogs-jump\nblackswan\n")
    found = find_videos(davis)
    # the texts that are left keep their numbers: 4 * object + annotator
    assert [e.id for e in found.videos[0].expressions] == ["0", "1", "3", "4", "5", "7"]
    errors = {failure.where: failure.error for failure in found.failures}
    assert list(errors) == ["blackswan", "dogs-jump/2", "dogs-jump/6"]
    assert "no frames on disk: there is no folder" in errors["blackswan"]
    assert "Davis17_annot2.txt has 2 texts for object 1 of video 'dogs-jump' where it should" in errors["dogs-jump/2"]
    assert "has 0 texts for object 2" in errors["dogs-jump/6"]

    text.write_text("dogs-jump one the left dog\n")
    with pytest.raises(DataError, match=r'Davis17_annot2\.txt, line 1: is not <video> <object id> "<text>"'):
        find_videos(davis)
    text.unlink()
    with pytest.raises(DataError, match=r"cannot read .*Davis17_annot2\.txt: No such file.*; unpack davis_text_annot"):
        find_videos(davis)
    with pytest.raises(ConfigError, match=r"no split 'vaild'; did you mean 'valid'\? valid: train, valid"):
        find_videos(davis, split="vaild")


@pytest.mark.skipif(not DAVIS.is_dir(), reason="no copy of DAVIS at ../shared/davis")
def test_real_frames_and_texts_read_as_once_converted(tmp_path):
    """The four text files, made from the converted one, over the folders of DAVIS."""
    listed = json.loads((DAVIS / "meta_expressions/valid/meta_expressions.json").read_text())["videos"]
    (tmp_path / "davis_text_annotations").mkdir()
    for annotator, name in enumerate(TEXTS):
        lines = [
            f'{video} {e["obj_id"]} "{e["exp"]}"\n'
            for video, entry in listed.items()
            for id, e in entry["expressions"].items()
            if int(id) % 4 == annotator
        ]
        (tmp_path / "davis_text_annotations" / f"Davis17_{name}.txt").write_text("".join(lines))
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("\n".join(listed))
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / kind).symlink_to((DAVIS / kind).resolve())
    ours, theirs = find_videos(tmp_path, layout="ref-davis17"), find_videos(DAVIS, layout="ref-davis")
    assert len(ours.videos) == 2
    assert len(ours.failures) == len(theirs.failures) == 28
    for one, other in zip(ours.videos, theirs.videos, strict=True):
        assert (one.id, one.frame_names) == (other.id, other.frame_names)
        assert [(e.id, e.text.split(), e.object_ids) for e in one.expressions] == [
            (e.id, e.text.split(), e.object_ids) for e in other.expressions
        ]
        assert read_object_mask(one, ("1",), (0,)).any()  # that copy has the masks of 2016: 0 and 255
