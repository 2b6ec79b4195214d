import json
from pathlib import Path

import pytest
from synthetic_media import write_frames, write_ref_davis, write_video

from vdprobe.data.folders import natural_key
from vdprobe.data.frames import count_frames
from vdprobe.data.sources import find_videos
from vdprobe.data.video import Expression, Failure, Video
from vdprobe.errors import ConfigError, DataError

STEMS = ["00000", "00001", "00002"]


def entry(*texts, frames=STEMS):
    return {"expressions": {str(i): {"exp": text, "obj_id": "1"} for i, text in enumerate(texts)}, "frames": frames}


def ids(entries):
    return [e.where if isinstance(e, Failure) else e.id for e in entries]


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("dog.mp4", "cat.MKV", "cow.webm"):
        (folder / name).write_bytes(b"")
    (folder / "notes.txt").write_text("about these videos")
    (folder / "._dog.mp4").write_bytes(b"")
    return folder


@pytest.fixture
def folders(tmp_path):
    for id in ("dog", "cat"):
        write_frames(tmp_path / "frames" / id)
    return tmp_path / "frames"


# layouts


def test_one_file(tmp_path):
    path = write_video(tmp_path / "dog.mp4", 2)
    found = find_videos(path, layout="auto")
    assert found.videos == (Video("dog", path),)
    assert count_frames(found.videos[0]) == 2


def test_a_folder_of_files(files):
    for layout in ("auto", "files"):
        found = find_videos(files, layout=layout)
        assert found.videos == tuple(
            Video(name.split(".")[0], files / name) for name in ("cat.MKV", "cow.webm", "dog.mp4")
        )
        assert found.failures == ()


def test_a_folder_of_frames_is_one_video(folders):
    found = find_videos(folders / "dog", layout="auto")
    assert found.videos == (Video("dog", folders / "dog", tuple(f"{stem}.png" for stem in STEMS)),)


def test_a_folder_of_folders(folders):
    for layout in ("auto", "frames"):
        assert ids(find_videos(folders, layout=layout).videos) == ["cat", "dog"]


def test_the_current_folder_has_a_name(folders, monkeypatch):
    monkeypatch.chdir(folders / "dog")
    assert ids(find_videos(Path(), layout="auto").videos) == ["dog"]


def test_a_link_to_a_folder_keeps_its_own_name(folders):
    (folders / "wolf").symlink_to(folders / "dog")
    assert ids(find_videos(folders, layout="frames").videos) == ["cat", "dog", "wolf"]


def test_frames_sort_as_numbers(tmp_path):
    for name in ("f10.jpg", "f2.JPG", "f1.jpg", "f01.jpg"):
        (tmp_path / name).write_bytes(b"")
    (video,) = find_videos(tmp_path, layout="frames").videos
    assert video.frame_names == ("f01.jpg", "f1.jpg", "f2.JPG", "f10.jpg")
    assert natural_key("2") < natural_key("10")


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*gone; give a video file"):
        find_videos(tmp_path / "gone", layout="auto")
    with pytest.raises(DataError, match=r"cannot tell what .*'files' .*'frames' .*'ref-davis'"):
        find_videos(tmp_path, layout="auto")
    with pytest.raises(DataError, match="holds no video file"):
        find_videos(tmp_path, layout="files")
    with pytest.raises(DataError, match="holds no frames"):
        find_videos(tmp_path, layout="frames")


def test_auto_does_not_guess_between_two_layouts(files):
    write_frames(files / "sheep")
    with pytest.raises(DataError, match=r"cat\.MKV and sheep point to different layouts; give one of") as caught:
        find_videos(files, layout="auto")
    assert "\n" not in str(caught.value)
    assert len(find_videos(files, layout="files").videos) == 3


def test_an_unknown_suffix(tmp_path):
    path = tmp_path / "dog.rmvb"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"dog\.rmvb is not one of the video files read .*convert it to mp4"):
        find_videos(path, layout="auto")


# what cannot be used is listed, and the rest goes on


def test_videos_of_other_kinds_are_failures(files):
    (files / "goat.rm").write_bytes(b"")
    found = find_videos(files, layout="auto")
    assert len(found.videos) == 3
    assert ids(found.failures) == ["goat.rm"]
    assert ".rm files are not read" in found.failures[0].error


def test_two_files_with_one_id_are_failures(files):
    (files / "dog.avi").write_bytes(b"")
    found = find_videos(files, layout="files")
    assert ids(found.videos) == ["cat", "cow"]
    assert ids(found.failures) == ["dog", "dog"]
    assert "shares its id 'dog'" in found.failures[0].error


def test_a_folder_without_frames_is_a_failure(folders):
    (folders / "empty").mkdir()
    found = find_videos(folders, layout="auto")
    assert ids(found.videos) == ["cat", "dog"]
    assert ids(found.failures) == ["empty"]
    assert "holds no frames" in found.failures[0].error


def test_a_frame_beside_its_mask_is_a_failure(folders):
    (folders / "dog" / "00001.jpg").write_bytes(b"")
    (failure,) = find_videos(folders, layout="auto").failures
    assert failure.where == "dog"
    assert "holds both 00001.jpg and 00001.png" in failure.error


def test_only(files, folders):
    (folders / "empty").mkdir()
    assert ids(find_videos(files, layout="auto", only=("dog", "cat")).videos) == ["cat", "dog"]
    assert find_videos(folders, layout="auto", only=("dog",)).failures == ()
    assert ids(find_videos(folders, layout="auto", only=("empty",)).failures) == ["empty"]
    with pytest.raises(ConfigError, match=r"there is no video 'dgo'; did you mean 'dog'"):
        find_videos(files, layout="auto", only=("dog", "dgo"))


# Ref-DAVIS17


@pytest.mark.parametrize("images", ["JPEGImages/480p", "valid/JPEGImages", "JPEGImages"])
def test_ref_davis_layouts(tmp_path, images):
    write_ref_davis(tmp_path, {"dog": entry("a dog", "the  Dog ")}, images)
    (video,) = find_videos(tmp_path, layout="auto").videos
    assert video.source == tmp_path / images / "dog"
    assert video.frame_names == ("00000.jpg", "00001.jpg", "00002.jpg")
    assert video.expressions == (Expression("0", "a dog", ("1",)), Expression("1", "the  Dog ", ("1",)))


def test_ref_davis_takes_the_frames_that_are_listed(tmp_path):
    write_ref_davis(tmp_path, {"dog": entry("a dog", frames=["00002", "00000"])})
    (video,) = find_videos(tmp_path, layout="ref-davis").videos
    assert video.frame_names == ("00002.jpg", "00000.jpg")


def test_ref_davis_failures(tmp_path):
    hidden = {"expressions": {"10": {"exp": "b"}, "9": {"exp": "a"}}, "frames": STEMS}
    listed = {
        "../evil": entry("x"),
        "cow": entry("a cow", "  ", "the cow"),
        "dog": entry("a dog"),
        "goat": entry("x", frames=[*STEMS, "00007", "00008"]),
        "none": entry("x", frames=[]),
        "odd": {"expressions": {"0": {"text": "x"}}, "frames": STEMS},
        "yak": hidden,
    }
    write_ref_davis(tmp_path, listed)
    for frame in (tmp_path / "JPEGImages/480p/dog").iterdir():
        frame.unlink()
    (tmp_path / "JPEGImages/480p/dog").rmdir()
    found = find_videos(tmp_path, layout="auto")
    assert ids(found.videos) == ["cow", "odd", "yak"]
    assert [e.id for e in found.videos[0].expressions] == ["0", "2"]
    assert found.videos[1].expressions == ()
    assert found.videos[2].expressions == (Expression("9", "a"), Expression("10", "b"))
    errors = {failure.where: failure.error for failure in found.failures}
    assert list(errors) == ["../evil", "cow/1", "dog", "goat", "none", "odd/0"]
    assert "tries to leave its folder" in errors["../evil"]
    assert "expression '1' has an empty text; describe the object in words" in errors["cow/1"]
    assert "there is no folder" in errors["dog"]
    assert "2 of 5 frames are missing in" in errors["goat"]
    assert "the first is '00007'" in errors["goat"]
    assert "lists no frames" in errors["none"]
    assert "has no text 'exp'" in errors["odd/0"]
    assert all("\n" not in error for error in errors.values())
    assert ids(find_videos(tmp_path, layout="auto", only=("cow",)).failures) == ["cow/1"]


def test_ref_davis_frame_names_cannot_leave_the_folder(tmp_path):
    write_ref_davis(tmp_path, {"dog": entry("a dog", frames=["../cat/00000"]), "cat": entry("a cat")})
    assert ids(find_videos(tmp_path, layout="auto").failures) == ["dog"]


def test_ref_davis_splits(tmp_path):
    write_ref_davis(tmp_path, {"dog": entry("a dog")})
    write_ref_davis(tmp_path, {"cat": entry("a cat")}, split="train")
    assert ids(find_videos(tmp_path, layout="auto", split="train").videos) == ["cat"]
    with pytest.raises(ConfigError, match=r"no split 'vaild'; did you mean 'valid'\? valid: train, valid"):
        find_videos(tmp_path, layout="auto", split="vaild")


def test_ref_davis_without_frames_or_texts(tmp_path):
    (tmp_path / "meta_expressions").mkdir()
    with pytest.raises(DataError, match=r"there is no .*meta_expressions\.json"):
        find_videos(tmp_path, layout="auto")
    write_ref_davis(tmp_path, {})
    with pytest.raises(DataError, match=r"no folder of frames \(looked for valid/JPEGImages, JPEGImages/480p, JPEGIm"):
        find_videos(tmp_path, layout="auto")
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "meta_expressions/valid/meta_expressions.json").write_text('["dog"]')
    with pytest.raises(DataError, match=r'does not hold \{"videos"'):
        find_videos(tmp_path, layout="auto")


def test_ref_davis_brings_its_own_expressions(tmp_path):
    write_ref_davis(tmp_path, {"dog": entry("a dog")})
    with pytest.raises(ConfigError, match="brings its own expressions"):
        find_videos(tmp_path, layout="auto", expressions=tmp_path / "mine.json")


# expression files


def with_expressions(folders, name, content):
    file = folders.parent / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return find_videos(folders, layout="frames", expressions=file)


DOG = (Expression("0", "a dog"), Expression("1", "the dog, running"))
CSV = 'video,text\ndog,a dog\ndog,"the dog, running"\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.json", json.dumps({"dog": ["a dog", "the dog, running"]})),
        ("e.json", json.dumps({"dog": {"0": "a dog", "1": "the dog, running"}})),
        ("e.csv", CSV),
        ("e.CSV", CSV.replace("\n", "\r\n")),
        ("e.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("e.csv", 'text,expression_id,video\na dog,0,dog\n"the dog, running",1,dog\n'),
    ],
)
def test_expressions_from_a_file(folders, name, content):
    found = with_expressions(folders, name, content)
    assert [video.expressions for video in found.videos] == [(), DOG]
    assert found.failures == ()


def test_texts_in_other_languages(folders):
    found = with_expressions(folders, "e.csv", "video,expression_id,text\ndog,a,щенок\ncat,b,貓\n")
    assert [v.expressions[0].text for v in found.videos] == ["貓", "щенок"]


def test_an_empty_text_is_a_failure_and_the_others_stay(folders):
    found = with_expressions(folders, "e.json", json.dumps({"dog": ["a dog", " \t", "b"], "cat": [""]}))
    assert [ids(video.expressions) for video in found.videos] == [[], ["0", "2"]]
    assert ids(found.failures) == ["cat/0", "dog/1"]
    assert "has an empty text; describe the object in words" in found.failures[0].error


def test_an_expression_id_that_leaves_its_folder_is_a_failure(folders):
    found = with_expressions(folders, "e.json", json.dumps({"dog": {"../x": "a dog"}}))
    assert ids(found.failures) == ["dog/../x"]


def test_expressions_of_a_video_that_failed_are_not_unknown(folders):
    (folders / "empty").mkdir()
    assert ids(with_expressions(folders, "e.json", '{"empty": ["x"]}').failures) == ["empty"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", "video,text\ndog,caf\u00e9\n".encode("latin-1"), r"e\.csv is not UTF-8 \(byte 18\); save it again"),
        ("e.json", b'{"dog": ["\xff"]}', r"e\.json is not UTF-8 \(byte 10\)"),
        ("e.json", '{"dog": ["a"],\n "cat" ["b"]}', r"e\.json is not valid JSON at line 2, column 8"),
        ("e.json", '{"dog": ["a"], "dog": ["b"]}', "the key 'dog' stands twice"),
        ("e.json", '["dog"]', "must hold .* it holds a list"),
        ("e.json", '{"dog": "a dog"}', "the entry of video 'dog' is not a list or mapping of texts"),
        ("e.json", '{"dog": [1]}', "the entry of video 'dog' is not a list or mapping of texts"),
        ("e.json", '{"dgo": ["a dog"]}', "there is no video 'dgo'; did you mean 'dog'"),
        ("e.json", "[" * 100_000, "nested too deeply"),
        ("e.csv", "video,txt\ndog,a\n", "unknown column 'txt'; did you mean 'text'"),
        ("e.csv", "video\ndog\n", "the column 'text' is missing"),
        ("e.csv", "", "the column 'video' is missing"),
        ("e.csv", "video,text\ndog,a, b\n", r"line 2: the row does not have 2 cells; quote"),
        ("e.csv", "video,text\ndog\n", r"line 2: the row does not have 2 cells"),
        ("e.csv", "video,expression_id,text\ndog,,a\n", "line 2: expression_id is empty"),
        ("e.csv", "video,expression_id,text\ndog,1,a\ndog,1,b\n", "line 3: expression '1' of video 'dog' stands twice"),
        ("e.csv", 'video,text\ndog,"a\n', "not valid CSV at line 2"),
        ("e.yaml", "dog: [a]", "expressions are read from .json or .csv"),
    ],
)
def test_bad_expression_files(folders, name, content, message):
    with pytest.raises(DataError, match=message) as caught:
        with_expressions(folders, name, content)
    assert "\n" not in str(caught.value)


def test_a_missing_expression_file(folders):
    with pytest.raises(DataError, match=r"cannot read .*gone\.json: No such file"):
        find_videos(folders, layout="frames", expressions=folders / "gone.json")
