import json

import numpy as np
import pytest
from PIL import Image
from synthetic_media import write_frames, write_ref_davis, write_video

from vdprobe.data.masks import prepare_labels, read_labels, read_object_mask
from vdprobe.data.resize import prepare_frames
from vdprobe.data.sources import find_videos
from vdprobe.errors import ConfigError, DataError
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import make_plan
from vdprobe.specs.video import Resize

ENTRY = {"expressions": {"0": {"exp": "a dog", "obj_id": "2"}}, "frames": ["00000", "00001", "00002"]}
LABELS = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16) % 4


def write_masks(folder, labels=LABELS, mode="P", count=3, **options):
    folder.mkdir(parents=True)
    for k in range(count):
        mask = Image.fromarray(np.roll(labels, k, axis=1))
        if mode == "P":
            mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
        mask.convert(mode).save(folder / f"{k:05d}.png", **options)
    return folder


@pytest.fixture
def dog(tmp_path):
    """The video of a dataset whose masks lie where they are asked to."""

    def make(place="Annotations/480p", images="JPEGImages/480p", **options):
        write_ref_davis(tmp_path, {"dog": ENTRY}, images)
        write_masks(tmp_path / place / "dog", **options)
        return find_videos(tmp_path).videos[0]

    return make


@pytest.mark.parametrize(
    ("images", "place"),
    [
        ("JPEGImages/480p", "Annotations/480p"),
        ("JPEGImages", "Annotations"),
        ("JPEGImages/480p", "Annotations"),
        ("valid/JPEGImages", "valid/Annotations"),
    ],
)
def test_masks_are_found_and_read(dog, tmp_path, images, place):
    video = dog(place, images)
    assert video.annotations == tmp_path / place / "dog"
    labels = read_labels(video, (2, 0))
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, np.stack([np.roll(LABELS, 2, axis=1), LABELS]))


@pytest.mark.parametrize(("mode", "options"), [("P", {}), ("P", {"bits": 2}), ("P", {"bits": 4}), ("L", {})])
def test_palette_and_grey(dog, mode, options):
    assert np.array_equal(read_labels(dog(mode=mode, **options), (0,))[0], LABELS)


def test_a_mask_of_one_bit(dog):
    video = dog(labels=(LABELS > 1).astype(np.uint8) * 255, mode="1")
    assert np.array_equal(read_labels(video, (0,))[0], LABELS > 1)


def test_a_video_without_masks(tmp_path):
    write_ref_davis(tmp_path, {"dog": ENTRY, "cat": ENTRY})
    write_masks(tmp_path / "Annotations" / "cat")
    cat, dog = find_videos(tmp_path).videos
    assert cat.annotations is not None
    assert dog.annotations is None
    with pytest.raises(DataError, match=r"video 'dog' .* has no masks; unpack the dataset's Annotations"):
        read_labels(dog, (0,))


def test_masks_that_cannot_be_used(dog, tmp_path):
    video = dog()
    zero, one, two = (video.annotations / f"0000{k}.png" for k in range(3))
    zero.unlink()
    Image.new("RGB", (16, 12)).save(one)
    Image.fromarray(LABELS[:, :8]).save(two)
    errors = {
        0: r"there is no mask .*00000\.png for the frame 00000\.jpg",
        1: r"00001\.png has pixels of kind 'RGB', no index; save masks as palette",
        2: r"00002\.png is 8x12 pixels and its frame 00002\.jpg is 16x12",
    }
    for k, message in errors.items():
        with pytest.raises(DataError, match=message) as caught:
            read_labels(video, (k,))
        assert "\n" not in str(caught.value)
    two.write_bytes(one.read_bytes()[:60])
    with pytest.raises(DataError, match=r"00002\.png cannot be read|00002\.png has pixels"):
        read_labels(video, (2,))
    one.write_bytes(b"no png")
    with pytest.raises(DataError, match=r"00001\.png is not a PNG"):
        read_labels(video, (1,))
    # 2-bit grey, which Pillow would spread over 0..255
    one.write_bytes(grey_png(bits=2))
    with pytest.raises(DataError, match="has pixels of kind 'L;2', no index"):
        read_labels(video, (1,))


def grey_png(bits):
    """One row of four grey pixels."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\x1b")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "resize",
    [
        *(Resize(), Resize(short_side=30, long_side=None), Resize(short_side=None, long_side=None)),
        *(Resize(flip=True), Resize(short_side=None, long_side=None, flip=True)),
    ],
)
def test_labels_lie_where_their_pixels_lie(resize):
    """A mask painted into the frames comes out of both ways at the same places."""
    labels = np.zeros((2, 45, 70), np.uint8)
    labels[0, 10:30, 20:50], labels[1, 5:40, 33:61] = 3, 1
    prepared = prepare_frames(np.repeat((labels > 0)[..., None], 3, axis=-1).astype(np.uint8) * 255, resize)
    ours = prepare_labels(labels, resize)
    assert ours.shape == (2, *prepared.pixels.shape[-2:])
    assert set(np.unique(ours[0])) == {0, 3}
    height, width = prepared.size
    assert not ours[:, height:].any()
    assert not ours[:, :, width:].any()
    theirs = prepared.pixels[:, 0, :height, :width] > 0
    different = (theirs != (ours[:, :height, :width] > 0)).mean()
    assert different < 0.01  # the edge's half pixel


def test_masks_change_no_key(tmp_path):
    write_ref_davis(tmp_path, {"dog": ENTRY})

    def plan():
        values = {"model": {"pipeline": "random:tiny"}, "videos": {"path": str(tmp_path)}, "clips": {"frames": 3}}
        made = make_plan(parse_config(values))
        return [(s.key, i.key(s.key)) for s in made.specs for clip in made.clips for i in clip.items(s)]

    before = plan()
    write_masks(tmp_path / "Annotations" / "dog")
    assert find_videos(tmp_path).videos[0].annotations is not None
    assert plan() == before
    assert json.dumps(before)


# masks for plain folders


def test_a_folder_of_masks_beside_frames_or_files(tmp_path):
    write_frames(tmp_path / "frames" / "dog")
    write_frames(tmp_path / "frames" / "cat")
    write_masks(tmp_path / "masks" / "dog")
    texts = tmp_path / "texts.csv"
    texts.write_text("video,text,object_id\ndog,a dog,2\ndog,both,1 3\ndog,somebody,\n")
    cat, dog = find_videos(tmp_path / "frames", expressions=texts, masks=tmp_path / "masks").videos
    assert cat.annotations is None
    assert [e.object_ids for e in dog.expressions] == [("2",), ("1", "3"), None]
    assert np.array_equal(read_object_mask(dog, ("1", "3"), (0,))[0], LABELS % 2 == 1)

    (tmp_path / "files").mkdir()
    write_video(tmp_path / "files" / "dog.mp4", 2)
    write_masks(tmp_path / "of_files" / "dog", labels=np.ones((48, 64), np.uint8), mode="L", count=2)
    (film,) = find_videos(tmp_path / "files", masks=tmp_path / "of_files").videos
    assert read_object_mask(film, ("1",), (1,)).all()
    with pytest.raises(DataError, match=r"00000\.png is 16x12 pixels and its frame 00000 is 64x48"):
        read_labels(find_videos(tmp_path / "files", masks=tmp_path / "masks").videos[0], (0,))


def test_objects_in_a_json_of_texts(tmp_path):
    write_frames(tmp_path / "frames" / "dog")
    texts = tmp_path / "texts.json"
    texts.write_text('{"dog": ["a", {"exp": "b", "obj_id": "2"}, {"exp": "c", "obj_id": [1, "3"]}]}')
    (dog,) = find_videos(tmp_path / "frames", expressions=texts).videos
    assert [(e.text, e.object_ids) for e in dog.expressions] == [("a", None), ("b", ("2",)), ("c", ("1", "3"))]
    for wrong in (
        '{"exp": "b"}',
        '{"exp": 1, "obj_id": 2}',
        '{"exp": "b", "obj_id": 1.5}',
        '{"text": "b", "obj_id": 1}',
    ):
        texts.write_text(f'{{"dog": [{wrong}]}}')
        with pytest.raises(DataError, match="the entry of video 'dog' is not a list or mapping of texts"):
            find_videos(tmp_path / "frames", expressions=texts)


def test_a_folder_of_masks_that_does_not_fit(tmp_path):
    write_frames(tmp_path / "frames" / "dog")
    write_masks(tmp_path / "dog")
    with pytest.raises(DataError, match="no folder of masks named as a video; give the folder above"):
        find_videos(tmp_path / "frames", masks=tmp_path / "dog")
    write_ref_davis(tmp_path / "davis", {"dog": ENTRY})
    with pytest.raises(ConfigError, match=r"davis brings its own masks; to use those of"):
        find_videos(tmp_path / "davis", masks=tmp_path)
