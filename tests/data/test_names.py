"""Frames by whatever a dataset lists them, and names that differ in their normal form only."""

import json
import unicodedata
import zipfile

import pytest
from published import write_json, write_labels, write_mevis, write_ytvos
from synthetic_media import write_frames

from vdprobe.data.folders import natural_key
from vdprobe.data.masks import is_label, read_labels
from vdprobe.data.predictions import open_predictions
from vdprobe.data.sources import find_videos
from vdprobe.errors import ConfigError, DataError
from vdprobe.studies.expected_masks import expected_masks

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


def relist(root, split, change):
    """Lets `change` rewrite the frames of each video."""
    places = (root / "meta_expressions" / split, root / split)
    file = next(place / "meta_expressions.json" for place in places if (place / "meta_expressions.json").is_file())
    videos = json.loads(file.read_text())["videos"]
    for entry in videos.values():
        entry["frames"] = change(entry["frames"])
    write_json(file, {"videos": videos})


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: [f"{frame}.jpg" for frame in frames],
        lambda frames: [f"{frame}.JPG" for frame in frames],
        lambda frames: [int(frame) for frame in frames],
    ],
)
@pytest.mark.parametrize(
    ("write", "split", "layout"), [(write_ytvos, "train", "ref-ytvos"), (write_mevis, "valid_u", "mevis")]
)
def test_frames_may_be_listed_with_a_suffix_or_as_numbers(tmp_path, write, split, layout, change):
    root = write(tmp_path / "data")
    before = find_videos(root, layout=layout, split=split)
    expected = expected_masks(root, split, "mevis")
    relist(root, split, change)
    assert find_videos(root, layout=layout, split=split) == before
    assert not before.failures
    assert expected_masks(root, split, "mevis") == expected


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "lists no frames in"),
        ("00000", "lists no frames in"),
        ([True], "lists the frame True in"),
        ([0.5], "lists the frame 0.5 in"),
        ([-1], "lists the frame -1 in"),
        ([10**40], "lists the frame 10000"),
        (["00000", None], "lists the frame None in"),
        (["00000", "00000.jpg"], "lists the frame '00000' twice"),
        (["00000.gif"], "the first is '00000.gif'"),
    ],
)
def test_frames_that_are_none(tmp_path, frames, message):
    root = write_ytvos(tmp_path / "data")
    relist(root, "train", lambda _: frames)
    (failure,) = find_videos(root, layout="ref-ytvos", split="train").failures
    assert message in failure.error and "\n" not in failure.error


@pytest.fixture(params=[(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)], ids=["composed", "decomposed"])
def forms(request):
    return request.param


def test_a_file_and_its_expressions_and_masks(tmp_path, forms):
    there, asked = forms
    write_frames(tmp_path / "videos" / there)
    write_labels(tmp_path / "masks" / asked)
    texts = write_json(tmp_path / "texts.json", {asked: ["a cup"]})
    (video,) = find_videos(tmp_path / "videos", expressions=texts, masks=tmp_path / "masks", only=(asked,)).videos
    assert (video.id, [expression.text for expression in video.expressions]) == (there, ["a cup"])
    assert read_labels(video, (0,)).any()


def test_a_text_file_that_names_a_video_in_both_forms(tmp_path):
    write_frames(tmp_path / "videos" / COMPOSED)
    texts = write_json(tmp_path / "texts.json", {COMPOSED: ["a cup"], DECOMPOSED: ["a mug"]})
    with pytest.raises(DataError, match="stands twice, written in two ways that look alike"):
        find_videos(tmp_path / "videos", expressions=texts)


def test_a_name_that_two_could_mean_is_none_of_them(tmp_path):
    """U+01D6 composed in part: neither of the two forms."""
    for name in (unicodedata.normalize("NFC", "\u01d6"), unicodedata.normalize("NFD", "\u01d6")):
        write_frames(tmp_path / "videos" / name)
    with pytest.raises(ConfigError, match="there is no video"):
        find_videos(tmp_path / "videos", only=("\u00fc\u0304",))
    (video,) = find_videos(tmp_path / "videos", only=("\u01d6",)).videos
    assert video.id == "\u01d6"


def test_a_dataset_whose_folders_are_in_the_other_form(tmp_path, forms):
    there, listed = forms
    root = tmp_path / "data"
    entry = {"frames": [f"{listed}{k}" for k in range(2)], "expressions": {"0": {"exp": "a cup", "obj_id": "1"}}}
    write_json(root / "meta_expressions" / "valid" / "meta_expressions.json", {"videos": {listed: entry}})
    for kind, write in (("JPEGImages", lambda f: write_frames(f, 2)), ("Annotations", lambda f: write_labels(f, 2))):
        write(root / "valid" / kind / there)
        for file in sorted((root / "valid" / kind / there).iterdir()):
            file.rename(file.with_stem(f"{there}{int(file.stem)}"))
    (video,) = find_videos(root, split="valid").videos
    assert (video.id, video.source) == (listed, root / "valid" / "JPEGImages" / there)
    assert read_labels(video, (0, 1)).any(axis=(1, 2)).all()
    assert next(iter(expected_masks(root, "valid", "mevis").values())).size == (16, 12)


def test_predictions_in_the_other_form(tmp_path, forms):
    there, asked = forms
    file = tmp_path / "masks" / there / "0.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.write(file, f"{there}/0.png")
    for path in (tmp_path / "masks", tmp_path / "masks.zip"):
        with open_predictions(path) as files:
            assert files.read(f"{asked}/0.png") == b"x"
            assert files.names() == [f"{COMPOSED}/0.png"]


def test_numbers_in_names_are_sorted_without_becoming_numbers():
    names = ["10", "2", "01", "1", "a" + "9" * 5000, "a" + "1" * 5001, "a9", "0", "00"]
    assert sorted(names, key=natural_key) == ["0", "00", "01", "1", "2", "10", "a9", "a" + "9" * 5000, "a" + "1" * 5001]


@pytest.mark.parametrize("id", ["0", "255", "-1", "1.0", "", "\u0663", "9" * 5000])
def test_labels(id):
    assert not is_label(id)
    assert is_label("254") and is_label("007")
