"""Damage: what disks, downloads, other programs and people of ill will make of a file.

Every kind of file is damaged byte by byte, and those that hold values also value by value, so that what is behind
their syntax is reached too.
"""

import io
import json
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from random import Random

import yaml

DIGITS, DEEP, BOMB = "@digits@", "@deep@", "@bomb@"
"""Stand for what `json.dumps` does not write: 5,000 digits, 100,000 lists in each other, a million small lists."""
TEXTS = (
    "", " ", "a", "\0", "a\nb", "\x1b[2J", "\ud800", "cafe\u0301", "..", "../../a", "/etc/passwd", "C:\\a", "a\\b",
    "1e9", "nan", "0x10", "010", "1_000", "yes", "null", "-1", "9" * 5000, "\u0663", "x" * 300, "y" * 100_000, "$x$",
    "*", "&a", "a.b", "random:tiny", "s3://a/b", "\u202e", "\u2028", "a/b", DIGITS, DEEP,
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 7, 255, 256, 2**31 - 1, 2**31, 2**32, 2**62, 2**63, 2**64, 10**18, -(10**18), 10**400, 0.5, -0.0,
    1e-300, 1e18, 1e300, float("nan"), float("inf"), float("-inf"), True, False,
)  # fmt: skip
CONTAINERS = ([], {}, [[]], [None], {"": None}, [0] * 1000, {"a": {"a": {"a": {}}}}, [[0, 0, 1, 1, 2, 2]])


def mutate(path: Path, rng: Random) -> None:
    """Damages a file in place."""
    content = path.read_bytes()
    by_value = BY_VALUE.get(path.suffix.lower())
    if by_value is not None and rng.random() < 0.6:
        try:
            path.write_bytes(by_value(content, rng))
            return
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError, yaml.YAMLError, zipfile.BadZipFile):
            pass  # the value cannot be written in that format: damage bytes instead
    path.write_bytes(mutate_bytes(content, rng))


def mutate_bytes(content: bytes, rng: Random) -> bytes:
    """One to four of: a bit or byte changed, a piece cut out, doubled or zeroed, noise, the end cut, a size."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not data:
            return rng.randbytes(rng.randrange(64))
        # the start is where formats say how large everything is
        place = rng.randrange(min(len(data), 256)) if rng.random() < 0.5 else rng.randrange(len(data))
        length = rng.choice((1, 2, 4, 8, 64, 1024))
        kind = rng.randrange(9)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.randrange(256)
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length]
        elif kind == 4:
            data[place : place + length] = bytes(min(length, len(data) - place))
        elif kind == 5:
            del data[place:]
        elif kind == 6:
            data[place:place] = rng.randbytes(length)
        else:
            size = rng.choice((0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 10**6))
            data[place : place + 4] = struct.pack(rng.choice(("<I", ">I")), size)
    return bytes(data)


def mutate_value(value: object, rng: Random) -> object:
    """A copy of a plain value in which one or a few places hold something else."""
    for _ in range(rng.choice((1, 1, 2))):
        value = _replaced(value, rng)
    return value


def hostile(rng: Random) -> object:
    """A value that nobody expects."""
    return rng.choice((None, rng.choice(TEXTS), rng.choice(TEXTS), rng.choice(NUMBERS), rng.choice(CONTAINERS)))


def _replaced(value: object, rng: Random) -> object:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        changed = dict(value)
        kind = rng.randrange(12)
        if kind == 0:
            del changed[key]
        elif kind == 1:
            changed[rng.choice(TEXTS)] = changed.pop(key)
        elif kind == 2:
            changed[rng.choice(TEXTS)] = hostile(rng)
        else:
            changed[key] = _replaced(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        kind = rng.randrange(12)
        if kind == 0:
            return value[:place] + value[place + 1 :]
        if kind == 1:
            return [*value, value[place]]
        if kind == 2:
            return [*value[:place], hostile(rng), *value[place:]]
        return [*value[:place], _replaced(value[place], rng), *value[place + 1 :]]
    if isinstance(value, int | float) and rng.random() < 0.5:
        return rng.choice(NUMBERS)
    return hostile(rng)


def _json(content: bytes, rng: Random) -> bytes:
    text = json.dumps(mutate_value(json.loads(content), rng))
    for mark, raw in ((DIGITS, "1" * 5000), (DEEP, "[" * 100_000 + "]" * 100_000), (BOMB, "[" + "[]," * 10**6 + "[]]")):
        text = text.replace(json.dumps(mark), raw)
    if rng.random() < 0.1:  # a key twice
        text = text.replace("{", '{"a": 0, "a": 1, ', 1)
    return text.encode()


def _yaml(content: bytes, rng: Random) -> bytes:
    if rng.random() < 0.2:
        bomb = "\n".join(f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]" for i in range(1, 12))
        return b"a0: &a0 [x]\n" + bomb.encode() + b"\n" + content
    return yaml.safe_dump(mutate_value(yaml.safe_load(content), rng)).encode("utf-8", "surrogatepass")


def _assignments(content: bytes, rng: Random) -> bytes:
    lines = content.decode().splitlines()
    place = rng.randrange(len(lines))
    name, _, value = lines[place].partition("=")
    text = rng.choice((value, str(hostile(rng)), rng.choice(TEXTS), "[" * 2000, "!!python/object:os.system", "{a: *b}"))
    lines[place] = f"{rng.choice((name, name, name, rng.choice(TEXTS)))}={text}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _csv(content: bytes, rng: Random) -> bytes:
    lines = content.decode().split("\n")
    place = rng.randrange(len(lines))
    cells = lines[place].split(",")
    cells[rng.randrange(len(cells))] = rng.choice(TEXTS)
    lines[place] = ",".join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _pickle(content: bytes, rng: Random) -> bytes:
    return pickle.dumps(mutate_value(pickle.loads(content), rng), protocol=rng.randrange(6))


def _zip(content: bytes, rng: Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = rng.choice(names)
        for name in names:
            member, data = zipfile.ZipInfo(name), old.read(name)
            member.compress_type = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            if name == chosen:
                kind = rng.randrange(6)
                if kind == 0:
                    member.filename = rng.choice((f"{name}/..", f"../{name}", f"/{name}", rng.choice(TEXTS[:20])))
                elif kind == 1:
                    member.compress_type = rng.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
                elif kind == 2:
                    member.external_attr = 0o120777 << 16
                elif kind == 3:
                    member.compress_type, data = zipfile.ZIP_DEFLATED, bytes(2**27)
                else:
                    damage = BY_VALUE.get(Path(name).suffix, mutate_bytes)
                    data = damage(data, rng)
            new.writestr(member, data)
    return out.getvalue()


def _png(content: bytes, rng: Random) -> bytes:
    """Chunks with right checksums, so that what they hold is believed."""
    out, place = bytearray(content[:8]), 8
    chunks = []
    while place + 8 <= len(content):
        (size,) = struct.unpack_from(">I", content, place)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    chosen = rng.randrange(len(chunks))
    for i, (kind, data) in enumerate(chunks):
        if i == chosen:
            if kind == b"IHDR" and rng.random() < 0.5:
                side = rng.choice((0, 1, 65_000, 2**31 - 1))
                data = struct.pack(">II", side, rng.choice((1, side))) + data[8:]
            else:
                data = mutate_bytes(data, rng)
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return bytes(out)


BY_VALUE = {
    ".json": _json, ".yaml": _yaml, ".set": _assignments, ".csv": _csv, ".p": _pickle, ".zip": _zip, ".png": _png,
}  # fmt: skip
