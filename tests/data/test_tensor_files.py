import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save, save_file

from vdprobe.data.tensor_files import check_finite, read_pickle, read_tensors
from vdprobe.errors import ModelError

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(3, dtype=torch.float16), "n": torch.tensor(3)}


def write_new(path, value):
    torch.save(value, path)


def write_old(path, value):
    torch.save(value, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(("name", "write"), [("w.bin", write_new), ("w.pth", write_old), ("w.safetensors", None)])
def test_every_format_gives_the_same(tmp_path, name, write):
    path = tmp_path / name
    save_file(TENSORS, path) if write is None else write(path, OrderedDict(TENSORS))
    found = dict(read_tensors(path))
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)
    assert dict(read_tensors(path, ["a", "elsewhere"])).keys() == {"a"}


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mknod, (str(self.path),))


@pytest.mark.parametrize("write", [write_new, write_old])
def test_code_is_not_run(tmp_path, write):
    write(tmp_path / "w.bin", {"a": torch.ones(1), "b": Malicious(tmp_path / "touched")})
    with pytest.raises(
        ModelError, match=r"w.bin: it asks for posix.mknod, which could run code and was not run"
    ) as caught:
        read_pickle(tmp_path / "w.bin")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "touched").exists()


def tar(path):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())


def packed(path):
    torch.save(TENSORS, path)
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def cut(write, share):
    def make(path):
        write(path, TENSORS)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return make


def put(content):
    return lambda path: path.write_bytes(content)


def header(text, length=None):
    return struct.pack("<Q", len(text) if length is None else length) + text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (put(b""), "is damaged"),
        (put(b"PK\x03\x04"), "is damaged"),
        (put(b"\x80\x02."), "damaged"),
        (put(b"text"), "damaged"),
        (put(b"(" * 100_000), "damaged"),
        (put(b"version https://git-lfs.github.com/spec/v1\noid"), "is a pointer of git-lfs"),
        (put(pickle.dumps([1, 2])), "damaged"),
        (cut(write_new, 0.5), "damaged"),
        (cut(write_new, 0.99), "damaged"),
        (cut(write_old, 0.5), "damaged"),
        (cut(write_old, 0.95), "damaged"),
        (tar, "in torch's oldest format"),
        (packed, "is compressed, as torch never does"),
        (lambda path: write_new(path, [1, 2]), "holds no mapping of names to tensors but a list"),
        (lambda path: write_old(path, {"a": 1}), "'a' is no tensor but a int"),
        (lambda path: write_new(path, {"a": torch.ones(1).expand(10**12)}), "of which the file holds but a part"),
        (lambda path: write_new(path, {"a": torch.ones(2).to_sparse()}), "damaged|'a' is no plain tensor"),
        (
            lambda path: write_new(path, {"w.x": torch.tensor([1.0, float("nan")])}),
            "'w.x' holds values that are not fin",
        ),
        (
            lambda path: write_new(path, {"w": torch.full((2,), -float("inf")).half()}),
            "'w' holds values that are not f",
        ),
        (lambda path: path.mkdir(), "damaged, or no file"),
        (lambda path: None, "there is no such file"),
    ],
)
def test_a_pickle_that_is_no_file_of_tensors(tmp_path, make, message):
    path = tmp_path / "w.bin"
    make(path)
    with pytest.raises(ModelError, match=message) as caught:
        dict(read_tensors(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (header(b"{}", 2**63), "damaged"),
        (header(b"{}", 2**40), "damaged"),
        (header(b"[" * 100_000), "damaged"),
        (header(b"\xff" * 10), "damaged"),
        (header(b'{"a": 1}'), "damaged"),
        (header(b'{"a": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4]}}') + b"0" * 4, "damaged"),
        (header(b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}') + b"0" * 4, "damaged"),
        (save(TENSORS)[:-1], "damaged"),
        (save(TENSORS)[:20], "damaged"),
        (save({"w": torch.tensor([float("inf")])}), "'w' holds values that are not finite"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of git-lfs"),
    ],
)
def test_a_safetensors_file_that_is_none(tmp_path, content, message):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        dict(read_tensors(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_large_finite_weights_are_finite():
    module = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(module.weight, 3e38)
    check_finite(module, "model 'x'")
    torch.nn.init.constant_(module.bias, float("nan"))
    with pytest.raises(ModelError, match="model 'x': 'bias' holds values that are not finite"):
        check_finite(module, "model 'x'")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "write"), [("w.bin", write_new), ("w.bin", write_old), ("w.safetensors", None)])
def test_damage_anywhere_is_one_line(tmp_path, name, write, seed):
    """Flipped, cut and inserted bytes; what is read in spite of them is tensors."""
    path = tmp_path / name
    save_file(TENSORS, path) if write is None else write(path, TENSORS)
    whole = path.read_bytes()
    draw = torch.Generator().manual_seed(seed)
    for _ in range(60):
        place = int(torch.randint(len(whole), (), generator=draw))
        byte = int(torch.randint(256, (), generator=draw))
        kind = int(torch.randint(3, (), generator=draw))
        path.write_bytes(whole[:place] + (b"", bytes([byte]), bytes([byte]) * 50)[kind] + whole[place + kind :])
        assert told(path) is None or (str(path) in told(path) and "\n" not in told(path))


def told(path):
    """What reading says is wrong, None where tensors are read."""
    try:
        found = dict(read_tensors(path))
    except ModelError as error:
        return str(error)
    return None if all(isinstance(value, torch.Tensor) for value in found.values()) else "\n"
