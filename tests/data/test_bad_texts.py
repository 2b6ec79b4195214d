"""A text that cannot be used is one failure, in every layout, and the others go on."""

import json
import pickle

import pytest
from published import write_a2d, write_davis17, write_jhmdb, write_json, write_mevis, write_refcoco, write_ytvos
from synthetic_media import write_frames

from vdprobe.data.check_dataset import check_dataset
from vdprobe.data.expressions import make_expression, read_expressions
from vdprobe.data.sources import find_videos
from vdprobe.errors import DataError

BAD = ["half \ud800 of one", "a \0 cat", "a \x1b[2J cat", "a \x7f cat"]


def in_json(root, path, old):
    """Puts a text, as JSON escapes it, in place of the first `old` in a file."""
    file = root / path

    def put(text):
        content = file.read_text()
        assert json.dumps(old) in content
        file.write_text(content.replace(json.dumps(old), json.dumps(text), 1))

    return put


def ytvos(root):
    return in_json(write_ytvos(root), "meta_expressions/train/meta_expressions.json", "text 1"), "train"


def mevis(root):
    return in_json(write_mevis(root), "valid_u/meta_expressions.json", "the two birds"), "valid_u"


def a2d(root):
    return in_json(write_a2d(root), "a2d_sentences_single_frame_train_annotations.json", "a Ball rolling"), "train"


def jhmdb(root):
    return in_json(write_jhmdb(root), "jhmdb_sentences_samples_metadata.json", "man catching a ball"), "test"


def refcoco(root):
    file = write_refcoco(root) / "refcoco" / "refs(unc).p"

    def put(text):
        refs = pickle.loads(file.read_bytes())
        refs[0]["sentences"][0]["sent"] = text
        file.write_bytes(pickle.dumps(refs))

    return put, "val"


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("make", [ytvos, mevis, a2d, jhmdb, refcoco])
def test_one_bad_text_of_a_dataset(tmp_path, make, text):
    put, split = make(tmp_path / "data")
    before = find_videos(tmp_path / "data", split=split)
    put(text)
    found = find_videos(tmp_path / "data", split=split)
    count = [sum(len(video.expressions) for video in videos) for videos in (before.videos, found.videos)]
    assert count[1] == count[0] - 1
    (failure,) = found.failures
    assert "holds U+" in failure.error
    assert failure.error.isprintable() and failure.where.isprintable()
    (check,) = check_dataset(tmp_path / "data", split=split)
    assert [finding.count for finding in check.findings if finding.what == "expressions that cannot be used"] == [1]


def test_a_bad_text_of_ref_davis17(tmp_path):
    root = write_davis17(tmp_path / "data")
    file = root / "davis_text_annotations" / "Davis17_annot1.txt"
    file.write_bytes(file.read_bytes().replace(b"white", b"wh\0te"))
    (failure,) = find_videos(root, split="valid").failures
    assert "holds U+0000, a control character" in failure.error


@pytest.mark.parametrize("text", BAD)
def test_a_bad_text_in_a_file_for_videos_without(tmp_path, text):
    write_frames(tmp_path / "videos" / "a")
    texts = write_json(tmp_path / "texts.json", {"a": ["a good one", text]})
    found = find_videos(tmp_path / "videos", expressions=texts)
    assert [expression.text for expression in found.videos[0].expressions] == ["a good one"]
    assert [failure.where for failure in found.failures] == ["a/1"]


def test_an_id_that_cannot_be_shown_is_escaped(tmp_path):
    root = write_ytvos(tmp_path / "data")
    file = root / "meta_expressions" / "train" / "meta_expressions.json"
    file.write_text(file.read_text().replace('"003234408d"', '"a\\ud800\\nb"').replace('"1": {', '"x\\u0000": {'))
    found = find_videos(root, layout="ref-ytvos", split="train")
    (failure,) = found.failures
    assert failure.where == "a\\ud800\\nb" and failure.error.isprintable()


@pytest.mark.parametrize("text", ["two\nlines", "a\ttab", "caf\u00e9", "\u732b", "a\u200dz", "\x93quoted\x94"])
def test_texts_that_are_used_as_they_are(text):
    assert make_expression("0", text, "here").text == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("video,text,text\na,b,c\n", "the column 'text' stands twice"),
        ("video\na\n", "the column 'text' is missing"),
        ("", "the column 'video' is missing"),
        ('video,text\na,"b\n', "is not valid CSV"),
        ("video,text\na,b,c\n", "line 2: the row does not have 2 cells"),
        ("video,text\na," + "b" * 200_000 + "\n", "is not valid CSV at line 2: field larger than field limit"),
        ("video,text\na,caf\u00e9\n".encode("latin-1"), "is not UTF-8"),
        ("video,text\na,b\n".encode("utf-16"), "is not UTF-8"),
    ],
)
def test_csv_files_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message) as caught:
        read_expressions(tmp_path / "a.csv", ["a"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
