"""Masks in files of other libraries: damaged, as large as they please, or pointing at other files."""

import pickle
import struct
import tracemalloc
import zlib
from contextlib import suppress

import h5py
import numpy as np
import pytest
from published import box, write_a2d, write_jhmdb
from scipy.io import loadmat, savemat

from vdprobe.data.masks import read_object_mask
from vdprobe.data.plain_mat import read_mat_array
from vdprobe.data.plain_pickle import read_plain_pickle
from vdprobe.data.sources import find_videos
from vdprobe.errors import DataError

MASK = box(3, 4, 48, 64).T.astype(np.uint8)


@pytest.fixture
def a2d(tmp_path):
    """Gives (what writes a file of masks in place of that of frame 5, what reads it)."""
    (video,) = find_videos(write_a2d(tmp_path / "a2d"), split="train").videos
    path = video.annotations.folder / "00005.h5"

    def write(fill):
        path.unlink()
        with h5py.File(path, "w") as file:
            file["instance"] = np.array([2])
            fill(file)

    return write, lambda: read_object_mask(video, ("2",), (4,))


def test_masks_of_an_instance_are_read_without_the_others(a2d):
    write, read = a2d
    write(lambda file: file.create_dataset("reMask", data=MASK, compression="gzip"))
    assert np.array_equal(read()[0], box(3, 4, 48, 64))


def external(file, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * MASK.size)
    file.create_dataset("reMask", MASK.shape, np.uint8, external=[(str(secret), 0, MASK.size)])


def external_link(file, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["reMask"] = MASK
    file["reMask"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/reMask")


def soft_link(file, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["reMask"] = MASK
    file["there"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/reMask")
    file["reMask"] = h5py.SoftLink("/there")


def virtual(file, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["reMask"] = MASK
    layout = h5py.VirtualLayout(MASK.shape, np.uint8)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "reMask", MASK.shape)
    file.create_virtual_dataset("reMask", layout)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (external, "'reMask' lies in another file, which is not followed"),
        (external_link, "'reMask' is a link, which may lead to another file"),
        (soft_link, "'reMask' is a link, which may lead to another file"),
        (virtual, "'reMask' lies in another file, which is not followed"),
        (
            lambda file, _: file.create_dataset("reMask", (10**6, 10**6), np.uint8, chunks=(1, 1)),
            "'reMask' declares 1,000,000,000,000 bytes, 268,435,456 are the most",
        ),
        (
            lambda file, _: file.create_dataset("reMask", (64, 48), "u1", chunks=(2**20, 2**11), maxshape=(None, None)),
            "'reMask' declares 2,147,483,648 bytes, 268,435,456 are the most",
        ),
        (lambda file, _: file.create_group("reMask"), "'reMask' is no array of numbers"),
        (lambda file, _: file.create_dataset("reMask", data="text"), "'reMask' is no array of numbers"),
        (lambda file, _: file.create_dataset("reMask", data=h5py.Empty("u1")), "'reMask' is no array of numbers"),
        (lambda file, _: file.create_dataset("reMask", data=np.zeros(3)), "has no mask of instance 2"),
        (lambda file, _: None, "has no 'instance' and 'reMask' to read"),
    ],
)
def test_arrays_of_an_h5_file_that_are_not_read(a2d, tmp_path, fill, message):
    write, read = a2d
    write(lambda file: fill(file, tmp_path))
    with pytest.raises(DataError, match=rf"00005\.h5.*{message}") as caught:
        read()
    assert "\n" not in str(caught.value)


def test_a_compressed_array_inflates_to_no_more_than_its_limit(a2d, monkeypatch):
    write, read = a2d
    write(lambda file: file.create_dataset("reMask", data=MASK, compression="gzip"))
    monkeypatch.setattr("vdprobe.data.plain_h5.MOST_COMPRESSED", 10)
    with pytest.raises(DataError, match="'reMask' is compressed to more than 10 bytes"):
        read()


def test_an_instance_with_two_masks(a2d):
    write, read = a2d

    def fill(file):
        del file["instance"]
        file["instance"], file["reMask"] = np.array([2, 2]), np.stack([MASK, 1 - MASK])

    write(fill)
    with pytest.raises(DataError, match=r"00005\.h5 has 2 masks of instance 2"):
        read()


# MATLAB


@pytest.fixture
def jhmdb(tmp_path):
    """Gives (file of masks, what reads it)."""
    (video,) = find_videos(write_jhmdb(tmp_path / "jhmdb"), split="test").videos
    return video.annotations.file, lambda: read_object_mask(video, ("1",), (0,))


@pytest.mark.parametrize("compressed", [False, True])
def test_masks_of_a_mat_file(jhmdb, compressed):
    path, read = jhmdb
    savemat(path, {"more": {"a": 1}, "part_mask": np.stack([box(2, 2)] * 3, axis=-1)}, do_compression=compressed)
    assert np.array_equal(read()[0], box(2, 2))


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 3), (5, 4, 3), (0, 3), (2, 3, 1, 2)])
@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_those_that_scipy_reads(tmp_path, dtype, shape, compressed):
    value = np.random.default_rng(0).integers(0, 5, shape).astype(dtype)
    savemat(tmp_path / "a.mat", {"x": "text", "part_mask": value, "y": 2.0}, do_compression=compressed)
    read = read_mat_array(tmp_path / "a.mat", "part_mask", "mend it")
    assert np.array_equal(read, loadmat(tmp_path / "a.mat")["part_mask"])
    assert read.shape == shape


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"part_mask": {"a": np.zeros((12, 16, 3))}}, "it is a struct and no array of numbers"),
        ({"part_mask": np.array([{"a": 1}, 2], dtype=object)}, "it is a cell and no array of numbers"),
        ({"part_mask": "text"}, "it is a char and no array of numbers"),
        ({"other": {"part_mask": 1}}, r"it has 'other'\)"),
    ],
)
def test_a_mat_file_without_an_array_of_numbers(jhmdb, value, message):
    path, read = jhmdb
    savemat(path, value)
    with pytest.raises(DataError, match=rf"puppet_mask\.mat has no 'part_mask' to read .*{message}"):
        read()


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(shape, data, compress):
    flags = element(6, struct.pack("<II", 9, 0))  # uint8
    whole = element(14, flags + element(5, struct.pack(f"<{len(shape)}i", *shape)) + element(1, b"part_mask") + data)
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM"
    return head + (struct.pack("<II", 15, len(c := zlib.compress(whole))) + c if compress else whole)


def test_the_hand_made_file_is_a_good_one(jhmdb):
    path, read = jhmdb
    for compress in (False, True):
        path.write_bytes(matrix((12, 16, 1), element(2, box(2, 2).T.tobytes()), compress))
        assert np.array_equal(read()[0], box(2, 2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (matrix((2**30, 2**30), element(2, b""), True), "declares 1073741824x1073741824 numbers and holds 0"),
        (matrix((-5, 3), element(2, b""), True), "declares -5x3 numbers and holds 0"),
        (matrix((12, 16, 1), element(2, box(2, 2).T.tobytes()), True)[:-30], "has no 'part_mask' to read"),
        (matrix((12, 16, 1), element(2, b"12"), False), "declares 12x16x1 numbers and holds 2"),
        (matrix((12, 16, 1), element(99, box(2, 2).T.tobytes()), False), "its numbers are of the unknown type 99"),
        (matrix((12, 16, 1), struct.pack("<II", 2, 2**31), False), "ends 2,147,483,648 bytes too early"),
        (b"", "has no 'part_mask' to read"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"\x89HDF\r\n\x1a\n" * 80, r"it is of MATLAB 7\.3\)"),
    ],
)
def test_mat_files_that_are_damaged_or_declare_too_much(jhmdb, content, message):
    path, read = jhmdb
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"puppet_mask\.mat.*{message}") as caught:
        read()
    assert "\n" not in str(caught.value)


def test_a_compressed_part_inflates_to_no_more_than_its_limit(jhmdb, monkeypatch):
    path, read = jhmdb
    monkeypatch.setattr("vdprobe.data.plain_mat.MOST_BYTES", 2**20)
    path.write_bytes(matrix((12, 16, 1), element(2, bytes(2**22)), True))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="inflates to more than 1,048,576 bytes"):
        read()


# pickles


@pytest.mark.parametrize(
    "content",
    [
        b"N" + pickle.LONG_BINPUT + b"\xff\xff\xff\x07.",  # in C an index of 2 GB
        pickle.BYTEARRAY8 + struct.pack("<Q", 2**31) + b".",
        pickle.BINBYTES8 + struct.pack("<Q", 2**40) + b".",
        pickle.BINUNICODE8 + struct.pack("<Q", 2**40) + b".",
        pickle.LONG4 + b"\xff\xff\xff\x7f.",
        b"I" + b"1" * 5000 + b"\n.",
        b"Nb.",
        b"\x82\x01.",
    ],
)
def test_a_pickle_takes_no_more_memory_than_it_has_bytes(tmp_path, content):
    (tmp_path / "a.p").write_bytes(content)
    tracemalloc.start()
    with suppress(DataError):
        read_plain_pickle(tmp_path / "a.p")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**20
