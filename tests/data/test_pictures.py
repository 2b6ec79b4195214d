import random
import struct
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, features
from synthetic_media import picture

from vdprobe.data.open_picture import FRAME_FORMATS
from vdprobe.data.orientation import TURNED_NOTE
from vdprobe.data.picture_size import MAX_PIXELS
from vdprobe.data.pictures import picture_size, read_picture
from vdprobe.data.predictions import decode_labels
from vdprobe.errors import DataError, VdprobeError
from vdprobe.studies.predict.mask_files import read_mask, write_mask


def png(width: int, height: int, kind: int = 0) -> bytes:
    """A PNG that declares a size and holds one byte of it."""
    out = b"\x89PNG\r\n\x1a\n"
    for name, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0")),
    ):
        out += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return out


def webp(width: int, height: int) -> bytes:
    """The header of a WebP that declares a size."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + size


@pytest.mark.parametrize("kind", ["EPS", "GIF", "DDS", "PPM", "ICO", "PDF", "AVIF", "TGA"])
@pytest.mark.parametrize("read", [read_picture, picture_size])
def test_other_formats_are_named_and_never_opened(tmp_path, monkeypatch, kind, read):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this build of Pillow writes no AVIF")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("a program was started"))
    path = tmp_path / "00000.png"
    Image.fromarray(picture(0, 32, 32)).save(path, format=kind)
    with pytest.raises(DataError, match=r"00000\.png is not an image in a known format \(JPEG, .*\)") as caught:
        read(path)
    if kind not in ("PDF", "TGA"):  # which have no first bytes of their own, or no reader
        assert f" but {kind}; " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["EPS", "JPEG", "GIF"])
def test_masks_are_png_alone(tmp_path, kind):
    path = tmp_path / "mask.png"
    Image.new("L", (4, 4)).save(path, format=kind)
    for read in (lambda: read_mask(path), lambda: decode_labels(path.read_bytes(), str(path))):
        with pytest.raises(DataError, match=rf"mask\.png is not a PNG but {kind}; "):
            read()


@pytest.mark.parametrize("data", [png(65000, 65000), png(20000, 4001), webp(16000, 16000)])
def test_a_size_past_the_limit_is_refused_before_it_is_decoded(tmp_path, monkeypatch, data):
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("the picture was decoded"))
    path = tmp_path / "0.png"
    path.write_bytes(data)
    for read in (read_picture, picture_size):
        with pytest.raises(DataError, match=rf"0\.png declares .*pixels; at most {MAX_PIXELS:,} are read"):
            read(path)
    if data[:4] != b"RIFF":
        for read in (read_mask, lambda path: decode_labels(path.read_bytes(), str(path))):
            with pytest.raises(DataError, match=rf"0\.png declares .*pixels; at most {MAX_PIXELS:,} are read"):
                read(path)


EXIF_TURNS = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("value", EXIF_TURNS)
@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_pictures_are_turned_as_their_exif_asks(tmp_path, value, suffix):
    exif = Image.Exif()
    exif[274] = value
    path = tmp_path / f"0{suffix}"
    Image.fromarray(picture(3, 12, 16)).save(path, exif=exif)
    stored, notes = read_picture(path, rotate=False)
    assert notes == ("the rotation that the file asks of players was not applied: frames are used as stored",)
    shown, notes = read_picture(path)
    assert notes == (TURNED_NOTE,)
    assert np.array_equal(shown, EXIF_TURNS[value](stored))
    assert picture_size(path) == (16, 12)
    assert picture_size(path, rotate=True) == shown.shape[1::-1]


@pytest.mark.parametrize("format", FRAME_FORMATS)
def test_damage_of_any_kind_is_one_line(tmp_path, format):
    whole, path = tmp_path / "whole", tmp_path / "damaged"
    Image.fromarray(picture(0, 24, 32)).save(
        whole, format=format, **({"compression": "tiff_lzw"} if format == "TIFF" else {})
    )
    content = whole.read_bytes()
    rng = random.Random(format)
    refused = []
    for _ in range(120):
        data = bytearray(content)
        for _ in range(rng.choice((1, 3, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.choice((len(data), rng.randrange(len(data))))])
        try:
            read_picture(path)
            picture_size(path, rotate=True)
        except VdprobeError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all(str(path) in line and "\n" not in line for line in refused)


def test_whatever_a_decoder_raises_names_the_file(monkeypatch, tmp_path):
    path = tmp_path / "mask.png"
    write_mask(path, np.zeros((4, 4), dtype=bool))
    for error in (
        KeyError("x"),
        AttributeError("x"),
        MemoryError(),
        OverflowError("x"),
        struct.error("x"),
        zlib.error("x"),
    ):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(Image.Image, "__array_interface__", property(fail))
        with pytest.raises(DataError, match=r"mask\.png cannot be read \(.+\); it may be damaged: delete it"):
            read_mask(path)
