import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from published import HEIGHT, WIDTH, box, write_json, write_refcoco

from vdprobe.data.frames import FrameReader
from vdprobe.data.masks import read_object_mask
from vdprobe.data.plain_pickle import read_plain_pickle
from vdprobe.data.sources import find_videos
from vdprobe.errors import ConfigError, DataError


@pytest.fixture
def coco(tmp_path):
    return write_refcoco(tmp_path / "coco")


@pytest.mark.parametrize(("name", "by"), [("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd")])
def test_a_picture_is_a_video_of_one_frame(tmp_path, name, by):
    write_refcoco(tmp_path, name, by)
    for layout in ("auto", name):
        (video,) = find_videos(tmp_path, layout=layout, split="val").videos
        assert (video.id, video.frame_names) == ("COCO_train2014_000000000009", ("COCO_train2014_000000000009.jpg",))
        assert [(e.id, e.text, e.object_ids) for e in video.expressions] == [
            ("0", "left man 0", ("101",)), ("1", "man 0", ("101",)),
            ("2", "left man 1", ("102",)), ("3", "man 1", ("102",)),
        ]  # fmt: skip
    with FrameReader(video) as reader:
        assert reader.read((0,)).shape == (1, HEIGHT, WIDTH, 3)
    polygons = np.zeros((HEIGHT, WIDTH), bool)
    polygons[1:7, 2:9] = polygons[8:11, 11:15] = True
    assert np.array_equal(read_object_mask(video, ("101",), (0,))[0], polygons)
    assert np.array_equal(read_object_mask(video, ("102",), (0,))[0], box(2, 3))
    (other,) = find_videos(tmp_path, split="testA").videos
    assert np.array_equal(read_object_mask(other, ("103",), (0,))[0], box(1, 1))


def test_several_datasets_beside_each_other(coco):
    write_refcoco(coco, "refcocog", "umd")
    with pytest.raises(DataError, match="holds several datasets; give layout refcoco or refcocog"):
        find_videos(coco, split="val")
    with pytest.raises(ConfigError, match=r"refcocog has no split 'valid'; did you mean 'val'\? valid: val, testA"):
        find_videos(coco, layout="refcocog")


def test_where_pictures_are_looked_for(coco):
    (coco / "images" / "mscoco" / "images").mkdir(parents=True)
    (coco / "train2014").rename(coco / "images" / "mscoco" / "images" / "train2014")
    assert len(find_videos(coco, split="val").videos) == 1
    (coco / "images").rename(coco / "pictures")
    with pytest.raises(DataError, match=r"has no pictures \(looked for train2014, images/train2014"):
        find_videos(coco, split="val")


def test_what_is_missing(coco):
    file = coco / "refcoco" / "refs(unc).p"
    refs = pickle.loads(file.read_bytes())
    refs[0]["sentences"] = [{"sent": " ", "sent_id": 0}, {"sent": "man", "sent_id": 1}] + refs[1]["sentences"][:1] * 2
    refs.append({**refs[0], "image_id": 10})
    file.write_bytes(pickle.dumps(refs, protocol=2))
    found = find_videos(coco, split="val")
    nine, ten = "COCO_train2014_000000000009", "COCO_train2014_000000000010"
    assert sorted(failure.where for failure in found.failures) == [f"{nine}/0", f"{nine}/2", f"{nine}/2", ten]
    (video,) = found.videos
    write_json(coco / "refcoco" / "instances.json", {"annotations": [{"id": 7, "segmentation": []}]})
    with pytest.raises(DataError, match=r"instances\.json has no annotation 101"):
        read_object_mask(video, ("101",), (0,))
    with pytest.raises(DataError, match="annotation 7: its segmentation is neither polygons"):
        read_object_mask(video, ("7",), (0,))
    write_json(coco / "refcoco" / "instances.json", {"annotations": [{"id": 7}]})
    with pytest.raises(DataError, match="holds no annotations with id and segmentation"):
        read_object_mask(video, ("101",), (0,))
    (coco / "refcoco" / "instances.json").unlink()
    assert find_videos(coco, split="val").videos[0].annotations is None
    file.rename(file.with_name("refs(google).p"))
    with pytest.raises(DataError, match=r"no .*refs\(unc\)\.p \(of refs there: refs\(google\)\.p\)"):
        find_videos(coco, layout="refcoco", split="val")


@pytest.mark.parametrize("edit", [{"image_id": "9"}, {"sentences": None}, {"split": 1}])
def test_references_of_other_types(coco, edit):
    file = coco / "refcoco" / "refs(unc).p"
    refs = pickle.loads(file.read_bytes())
    refs[1] |= edit
    file.write_bytes(pickle.dumps(refs))
    with pytest.raises(DataError, match="holds no list of references with split, image_id, ann_id, sentences"):
        find_videos(coco, split="val")


# pickles


class Malicious:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_pickle_is_not_run(coco, protocol):
    file, mark = coco / "refcoco" / "refs(unc).p", coco / "mark"
    content = pickle.dumps([{"split": "val", "image_id": Malicious(mark)}], protocol=protocol)
    file.write_bytes(content)
    with pytest.raises(
        DataError, match=r"refs\(unc\)\.p is no pickle of plain .* asks for (posix|nt)\.mkdir"
    ) as caught:
        find_videos(coco, split="val")
    assert not mark.exists()
    assert "\n" not in str(caught.value)
    pickle.loads(content)
    assert mark.exists()  # and it would have


def test_harmless_classes_are_refused_too(tmp_path):
    for value in (OrderedDict(a=1), np.float64(1), {1, 2}.__class__, complex(1, 2)):
        (tmp_path / "a.p").write_bytes(pickle.dumps(value))
        with pytest.raises(DataError, match="it asks for"):
            read_plain_pickle(tmp_path / "a.p")


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_any_protocol(tmp_path, protocol):
    value = [{"a": ("\u00e9", 1, 2.5, None, True), "b": [10**30]}]
    (tmp_path / "a.p").write_bytes(pickle.dumps(value, protocol=protocol))
    assert read_plain_pickle(tmp_path / "a.p") == value


def test_texts_of_python_2(tmp_path):
    (tmp_path / "a.p").write_bytes(b"\x80\x02U\x05caf\xc3\xa9q\x00.")  # a str, which was bytes
    assert read_plain_pickle(tmp_path / "a.p") == "caf\u00e9"


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps([1] * 99)[:-9], b"\x80\x02U\x01\xffq\x00.", b"(P1\n."])
def test_damaged_pickles(tmp_path, content):
    (tmp_path / "a.p").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.p is no whole pickle \(.*; fetch the file again"):
        read_plain_pickle(tmp_path / "a.p")
    with pytest.raises(DataError, match=r"cannot read .*gone\.p: No such file"):
        read_plain_pickle(tmp_path / "gone.p")
