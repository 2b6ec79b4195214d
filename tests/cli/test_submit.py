import io
import json
import shutil
import stat
import struct
import warnings
import zipfile

import numpy as np
import pytest
from mask_files import copy_labels, listed, make_shapes, predict_expressions, read_mask, write_mask
from PIL import Image

BENCHMARKS = ("ref-ytvos", "mevis", "davis")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("shapes") / "data", videos=2, frames=2)


@pytest.fixture(scope="module")
def masks(shapes, tmp_path_factory):
    """Folder of right masks of each benchmark."""
    out = {name: tmp_path_factory.mktemp(name) / "masks" for name in BENCHMARKS}
    predict_expressions(shapes, out["ref-ytvos"] / "Annotations")
    predict_expressions(shapes, out["mevis"])
    copy_labels(shapes, out["davis"])
    return out


def png(pixels, mode="L"):
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).convert(mode).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def check(vdprobe, masks, shapes, tmp_path):
    """Checks a right zip after `change`, which gets name to bytes; gives {kind: (first, count)}."""

    def run(benchmark, change=None, *options, dataset=True):
        folder, path = masks[benchmark], tmp_path / "x.zip"
        files = {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*.png"))}
        if change is not None:
            files = change(files) or files
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        given = ("--dataset", shapes, "--split", "val") if dataset else ()
        command = ("submit", "--check", path, "--benchmark", benchmark, "--workers", 1, "--json")
        status, out, err = vdprobe(*command, *given, *options)
        made = json.loads(out)
        assert status == (1 if made["faults"] else 0)
        for fault in made["faults"]:
            said = f"fault: {fault['kind']}: {fault['first']} ({fault['count']} in all); {fault['remedy']}"
            assert said in err
        return {fault["kind"]: (fault["first"], fault["count"]) for fault in made["faults"]}

    return run


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_what_is_written_is_right_and_complete(vdprobe, masks, shapes, tmp_path, benchmark):
    out = tmp_path / "x.zip"
    command = ("submit", masks[benchmark], "--benchmark", benchmark)
    dataset = ("--dataset", shapes, "--split", "val", "--workers", 1)
    status, _, err = vdprobe(*command, "--out", out, *dataset)
    assert status == 0, err
    count = len(list(masks[benchmark].rglob("*.png")))
    assert f"{count} masks without fault: {out}" in err
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # not when it was made
        names = archive.namelist()
        assert names == sorted(f.relative_to(masks[benchmark]).as_posix() for f in masks[benchmark].rglob("*.png"))
        assert all(archive.read(name) == (masks[benchmark] / name).read_bytes() for name in names)
    assert vdprobe("submit", "--check", out, "--benchmark", benchmark, *dataset)[0] == 0
    # again from the zip, to the same bytes
    again = tmp_path / "again.zip"
    assert vdprobe("submit", out, "--benchmark", benchmark, "--out", again)[0] == 0
    assert again.read_bytes() == out.read_bytes()
    status, _, err = vdprobe(*command, "--out", out)
    assert (status, "is there already; give a new .zip" in err) == (1, True)


def test_the_folder_annotations_is_put_where_it_belongs(vdprobe, masks, tmp_path):
    """Masks in the layout of one benchmark go into the zip of the other."""
    for source, target, first in (("mevis", "ref-ytvos", "Annotations/"), ("ref-ytvos", "mevis", "val-00000/")):
        out = tmp_path / f"{target}.zip"
        status, _, err = vdprobe("submit", masks[source], "--benchmark", target, "--out", out)
        assert status == 0, err
        assert "nothing says which masks there must be" in err
        with zipfile.ZipFile(out) as archive:
            assert archive.namelist()[0].startswith(first)


def test_what_does_not_belong_is_left_out_and_said(vdprobe, masks, shapes, tmp_path):
    folder = tmp_path / "masks"
    shutil.copytree(masks["mevis"], folder)
    (folder / "log.txt").write_text("done")
    (folder / ".DS_Store").write_text("")
    shutil.copytree(folder / "val-00000" / "0", folder / "val-00000" / "extra")
    command = ("submit", folder, "--benchmark", "mevis", "--dataset", shapes, "--split", "val", "--out")
    status, _, err = vdprobe(*command, tmp_path / "x.zip")
    assert status == 0, err
    assert "left out of the zip: 4 (.DS_Store, log.txt, val-00000/extra/00000.png" in err
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert not [name for name in archive.namelist() if "extra" in name or "log" in name]


def test_a_zip_with_faults_is_not_written(vdprobe, masks, shapes, tmp_path):
    folder = tmp_path / "masks"
    shutil.copytree(masks["mevis"], folder)
    (folder / "val-00000/0/00001.png").unlink()
    command = ("submit", folder, "--benchmark", "mevis", "--dataset", shapes, "--split", "val", "--out")
    status, _, err = vdprobe(*command, tmp_path / "x.zip")
    assert status == 1
    assert "fault: frame missing: val-00000/0/00001.png (1 in all); predict it" in err
    assert "x.zip is not written: 1 kinds of fault" in err
    assert [path.name for path in tmp_path.iterdir()] == ["masks"]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_right_zip_has_no_faults(check, benchmark):
    assert check(benchmark) == check(benchmark, dataset=False) == {}


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize("folder", ["Annotations", "submission"])
def test_one_folder_too_many(check, benchmark, folder):
    found = check(benchmark, lambda files: {f"{folder}/{name}": data for name, data in files.items()}, dataset=False)
    assert set(found) == {"folder too many"}
    assert found["folder too many"][0].startswith(f"{folder}/")


def test_the_folder_annotations_is_compulsory(check):
    def without(files):
        return {name.removeprefix("Annotations/"): data for name, data in files.items()}

    assert set(check("ref-ytvos", without, dataset=False)) == {"no folder Annotations"}
    found = check("ref-ytvos", without)
    assert found["video missing"] == ("val-00000", 2)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_files_that_do_not_belong(check, benchmark):
    def add(files):
        first = next(iter(files))
        return files | {
            f"__MACOSX/{first}": b"",
            f"{first.rpartition('/')[0]}/._00000.png": b"",
            "readme.txt": b"",
            "00000.png": b"",
            first.replace("/", "\\"): b"",
        }

    found = check(benchmark, add)
    first = next(iter(found))
    assert first == "file of the system"
    assert found["file of the system"][1] == 2
    wrong = sum(count for kind, (_, count) in found.items() if kind != first)
    assert wrong == 3
    assert set(found) <= {"file of the system", "unsafe name", "not in the layout", "no folder Annotations"}
    assert found["unsafe name"][1] == 1


def test_what_is_missing_is_named_as_a_whole(check, shapes):
    """All of one video, an expression of the other, and one of its frames."""

    def remove(files):
        return {
            name: data
            for name, data in files.items()
            if not name.startswith(("val-00000/", "val-00001/0/")) and name != "val-00001/1/00001.png"
        }

    assert check("mevis", remove) == {
        "video missing": ("val-00000", 1),
        "expression missing": ("val-00001/0", 1),
        "frame missing": ("val-00001/1/00001.png", 1),
    }
    assert check("mevis", remove, dataset=False) == {}


@pytest.mark.parametrize("name", ["val-00009/0/00000.png", "val-00000/99/00000.png", "val-00000/0/00009.png"])
def test_what_was_not_asked_for(check, name):
    def add(files):
        return files | {name: files["val-00000/0/00000.png"]}

    assert check("mevis", add) == {"not asked for": (name, 1)}


@pytest.mark.parametrize(
    ("benchmark", "pixels", "mode", "fault"),
    [
        ("ref-ytvos", [0, 255], "L", None),
        ("ref-ytvos", [0, 0], "L", None),
        ("ref-ytvos", [0, 1], "L", "values other than 0 and 255"),
        ("ref-ytvos", [0, 254], "L", "values other than 0 and 255"),
        ("ref-ytvos", [0, 255], "RGB", "not a grey PNG"),
        ("ref-ytvos", [0, 255], "P", "not a grey PNG"),
        ("ref-ytvos", [0, 255], "1", "not a grey PNG"),
        ("mevis", [0, 255], "L", None),
        ("mevis", [0, 1], "L", None),  # what is not 0 is the object
        ("mevis", [255, 255], "L", None),
        ("mevis", [100, 255], "L", "more than two values"),
        ("mevis", [0, 255], "LA", "not a grey PNG"),
        ("davis", [0, 1], "P", None),
        ("davis", [0, 20], "P", None),
        ("davis", [0, 21], "P", "object number too high"),
        ("davis", [0, 255], "P", "object number too high"),
        ("davis", [0, 1], "L", "not a palette PNG"),
    ],
)
def test_kinds_and_values_of_masks(check, benchmark, pixels, mode, fault):
    names = []

    def replace(files):
        names.append(next(iter(files)))
        mask = np.zeros((48, 48))
        mask[:20], mask[20:] = pixels
        files[names[0]] = png(mask, mode)

    assert check(benchmark, replace) == ({} if fault is None else {fault: (names[0], 1)})


def test_sizes_are_those_of_the_frames(check):
    def shrink(files):
        return {
            name: png(np.zeros((40, 48))) if name.startswith("val-00001/") else data for name, data in files.items()
        }

    kind, (first, count) = next(iter(check("mevis", shrink).items()))
    assert (kind, first) == ("another size", "val-00001/0/00000.png")
    assert count > 1
    # without a dataset a video's masks are compared with each other
    assert check("mevis", shrink, dataset=False) == {}
    one = {"val-00001/0/00001.png": png(np.zeros((40, 48)))}
    assert check("mevis", lambda files: files | one, dataset=False) == {"another size": ("val-00001/0/00001.png", 1)}


def test_masks_that_cannot_be_read(check):
    def damage(files):
        first, second, *_ = files
        files[first], files[second] = b"nothing", files[second][:-40]

    assert check("mevis", damage) == {"no readable PNG": ("val-00000/0/00000.png", 2)}


def test_a_damaged_member_is_a_fault_of_its_own(vdprobe, masks, tmp_path):
    path = tmp_path / "x.zip"
    assert vdprobe("submit", masks["mevis"], "--benchmark", "mevis", "--out", path)[0] == 0
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 255
    path.write_bytes(data)
    status, _, err = vdprobe("submit", "--check", path, "--benchmark", "mevis")
    assert (status, "fault: no readable PNG: val-00000/0/00000.png (1 in all)" in err) == (1, True)


def test_a_file_that_stands_twice(vdprobe, masks, tmp_path):
    path = tmp_path / "x.zip"
    assert vdprobe("submit", masks["davis"], "--benchmark", "davis", "--out", path)[0] == 0
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.write(masks["davis"] / "val-00000" / "00000.png", "val-00000/00000.png")
    status, _, err = vdprobe("submit", "--check", path, "--benchmark", "davis")
    assert (status, "fault: file twice: val-00000/00000.png (1 in all)" in err) == (1, True)


UNSAFE = [
    "Annotations/../0/0.png", "Annotations/./0/0.png", "/Annotations/a/0/0.png", "Annotations//0/0.png", "../0/0/0.png",
    "Annotations/a\\b/0/0.png", "Annotations/C:/0/0.png", "c:Annotations/a/0/0.png", "Annotations/a/0/0\n.png",
    "Annotations/\x1b[2J/0/0.png", "Annotations/a\u2028/0/0.png", f"Annotations/{'a' * 256}/0/0.png",
]  # fmt: skip


def write_members(path, members):
    """A zip of (name or ZipInfo, content)."""
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name stands twice
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("written", [False, True])
def test_unsafe_names_are_refused_without_a_dataset(vdprobe, tmp_path, name, written):
    path = write_members(tmp_path / "x.zip", [("Annotations/a/0/1.png", png([[0]])), (name, png([[0]]))])
    out = tmp_path / "out.zip"
    given = (path, "--out", out) if written else ("--check", path)
    status, _, err = vdprobe("submit", *given, "--benchmark", "ref-ytvos", "--workers", 1)
    assert status == 1
    assert "unsafe name" in err and "a drive, an empty part or control characters" in err
    assert name.isprintable() or name not in err
    assert not out.exists()


def test_a_name_that_python_cuts_at_a_nul_is_refused(vdprobe, tmp_path):
    path = write_members(tmp_path / "x.zip", [("Annotations/a/0/1.png", png([[0]]))])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Annotations/a/0/1.png", b"Annotations/a/0/\0.png"))
    for given in ((path, "--out", tmp_path / "out.zip"), ("--check", path)):
        status, _, err = vdprobe("submit", *given, "--benchmark", "ref-ytvos", "--workers", 1)
        assert (status, "unsafe name" in err, "\0" in err) == (1, True, False)


def test_a_folder_with_an_unsafe_name_is_refused(vdprobe, tmp_path):
    (tmp_path / "masks" / "a" / "0\n").mkdir(parents=True)
    (tmp_path / "masks" / "a" / "0\n" / "0.png").write_bytes(png([[0]]))
    status, _, err = vdprobe("submit", tmp_path / "masks", "--benchmark", "mevis", "--out", tmp_path / "x.zip")
    assert (status, "holds 'a/0\\n/0.png', an unsafe name" in err) == (1, True)


def test_a_zip_of_which_a_file_stands_twice_is_not_made_into_another(vdprobe, tmp_path):
    path = write_members(tmp_path / "x.zip", [("a/0/0.png", png([[0]])), ("a/0/0.png", png([[255]]))])
    status, _, err = vdprobe("submit", path, "--benchmark", "mevis", "--out", tmp_path / "out.zip")
    assert (status, "holds 'a/0/0.png' twice; write the zip anew" in err) == (1, True)


def test_members_that_are_not_read(vdprobe, tmp_path, monkeypatch):
    """A link, one that is larger than a mask, one that says it is smaller than it is, one that inflates at once."""
    monkeypatch.setattr("vdprobe.data.predictions.MOST_BYTES", 2**16)
    link, bomb = zipfile.ZipInfo("a/0/link.png"), zipfile.ZipInfo("a/0/bzip2.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    bomb.compress_type = zipfile.ZIP_BZIP2
    large, lying = zipfile.ZipInfo("a/0/large.png"), zipfile.ZipInfo("a/0/lying.png")
    large.compress_type = lying.compress_type = zipfile.ZIP_DEFLATED
    members = [(link, b"/etc/passwd"), (bomb, bytes(100)), (large, bytes(2**17)), (lying, bytes(2**17 + 1))]
    path = write_members(tmp_path / "x.zip", members)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", 2**17 + 1), struct.pack("<I", 100)))
    status, out, _ = vdprobe("submit", "--check", path, "--benchmark", "mevis", "--workers", 1, "--json")
    faults = {fault["kind"]: (fault["first"], fault["count"]) for fault in json.loads(out)["faults"]}
    assert status == 1
    assert faults == {
        "link": ("a/0/link.png", 1),
        "too large": ("a/0/large.png", 1),
        "no readable PNG": ("a/0/bzip2.png", 2),
    }
    for member, message in ((link, "is a link to another file"), (large, "has 131,072 bytes, 65,536 are the most")):
        write_members(tmp_path / "y.zip", [(member, bytes(2**17))])
        status, _, err = vdprobe("submit", tmp_path / "y.zip", "--benchmark", "mevis", "--out", tmp_path / "z.zip")
        assert (status, message in err) == (1, True)
        assert not list(tmp_path.glob("z.zip*"))


def test_a_folder_entry_is_no_fault(vdprobe, masks, tmp_path):
    """As `zip -r` writes them."""
    path = tmp_path / "x.zip"
    assert vdprobe("submit", masks["ref-ytvos"], "--benchmark", "ref-ytvos", "--out", path)[0] == 0
    with zipfile.ZipFile(path, "a") as archive:
        archive.mkdir("Annotations")
    assert vdprobe("submit", "--check", path, "--benchmark", "ref-ytvos")[0] == 0


def test_ref_ytvos_expects_valid_without_test(vdprobe, masks, shapes, tmp_path):
    """`valid` lists all videos; the JSON alone says what is expected, too."""
    videos = listed(shapes)
    for split, ids in (("valid", list(videos)), ("test", ["val-00001"])):
        path = tmp_path / "data/meta_expressions" / split / "meta_expressions.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"videos": {id: videos[id] for id in ids}}))
    folder = tmp_path / "masks"
    shutil.copytree(masks["ref-ytvos"], folder)
    shutil.rmtree(folder / "Annotations/val-00001")
    for dataset in (tmp_path / "data", tmp_path / "data/meta_expressions/valid/meta_expressions.json"):
        command = ("submit", folder, "--benchmark", "ref-ytvos", "--dataset", dataset, "--out")
        status, _, err = vdprobe(*command, tmp_path / "x.zip")
        assert status == 0, err
        assert "sizes are only compared with each other" in err
        (tmp_path / "x.zip").unlink()
    (tmp_path / "data/meta_expressions/test/meta_expressions.json").unlink()
    status, _, err = vdprobe(*command, tmp_path / "x.zip")
    assert (status, "fault: video missing: val-00001 (1 in all)" in err) == (1, True)


def test_davis_expects_the_sequences_of_its_list(vdprobe, masks, shapes, tmp_path):
    davis = tmp_path / "davis"
    (davis / "ImageSets/2017").mkdir(parents=True)
    (davis / "ImageSets/2017/val.txt").write_text("val-00000\nval-00001\n")
    shutil.copytree(shapes / "val/JPEGImages", davis / "JPEGImages/480p")
    folder = tmp_path / "masks"
    shutil.copytree(masks["davis"], folder)
    command = ("submit", folder, "--benchmark", "davis", "--dataset", davis, "--out")
    assert vdprobe(*command, tmp_path / "x.zip")[0] == 0
    write_mask(folder / "val-00000/00001.png", np.zeros((40, 48)), "P")
    shutil.rmtree(folder / "val-00001")
    status, _, err = vdprobe(*command, tmp_path / "y.zip")
    assert status == 1
    assert "fault: video missing: val-00001 (1 in all)" in err
    assert "fault: another size: val-00000/00001.png (1 in all)" in err


def test_workers_change_nothing(vdprobe, masks, shapes, tmp_path, monkeypatch):
    path = tmp_path / "x.zip"
    assert vdprobe("submit", masks["mevis"], "--benchmark", "mevis", "--out", path)[0] == 0
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("val-00009/0/00000.png", png(read_mask(masks["davis"] / "val-00000/00000.png"), "P"))
    monkeypatch.setattr("vdprobe.studies.submit.CHUNK", 8)
    command = ("submit", "--check", path, "--benchmark", "mevis", "--json", "--workers")
    alone, together = vdprobe(*command, 1), vdprobe(*command, 2)
    assert alone[0] == 1
    assert together == alone


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--benchmark", "mevis"), 2, "give PREDICTIONS and --out to write a zip, or --check ZIP alone"),
        (("--benchmark", "mevis", "--out", "x.zip", "--check", "x.zip"), 2, "or --check ZIP alone"),
        (("masks", "--benchmark", "mevis"), 2, "give PREDICTIONS and --out"),
        (("masks", "--benchmark", "davis17", "--out", "x.zip"), 2, "'davis17' with a zip; did you mean 'davis'"),
        (("masks", "--benchmark", "mevis", "--out", "x.rar"), 1, "x.rar is no .zip"),
        (("masks", "--benchmark", "davis", "--out", "x.zip"), 1, "looked for <video>/<frame>.png"),
        (("masks", "--benchmark", "mevis", "--out", "no/x.zip"), 1, "cannot write no/x.zip"),
        (("--check", "masks", "--benchmark", "mevis"), 1, "masks is a folder; give a zip"),
        (("--check", "none.zip", "--benchmark", "mevis"), 1, "cannot read none.zip"),
        (("--check", "text.zip", "--benchmark", "mevis"), 1, "text.zip is no folder and no zip"),
        (("masks", "--benchmark", "mevis", "--out", "x.zip", "--dataset", "."), 1, "does not say which masks are"),
    ],
)  # fmt: skip
def test_what_cannot_be_done(vdprobe, masks, tmp_path, monkeypatch, options, status, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masks").symlink_to(masks["mevis"])
    (tmp_path / "text.zip").write_text("no zip")
    got, _, err = vdprobe("submit", *options)
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert message in line
    assert got == status
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks", "text.zip"]
