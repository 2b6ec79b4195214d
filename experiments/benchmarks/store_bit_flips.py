"""Flips single bits in the files of a small store: each is found or harmless, and what is found is mended.

    python experiments/benchmarks/store_bit_flips.py [--flips 10000] [--seed 0] [--old] [--json]

The store has five items under three specs (float16, int8 with its steps, bfloat16 without timesteps and
with maps of several frames), and a claim.
Each flip draws a kind of file, a file of it and a bit, in turn:

- found: `verify` names the file, or what it is part of. `repair` then removes or mends it, the items that lack are
  written again, and every file of the store is to be what it was, those of the other items without having been
  touched (by inode and time).
- harmless: `verify` finds nothing. What `specs`, `items` and every read give is compared, value for value.
- refused: `store.json` names a newer schema, and every command says so in one line. Only with `--old`, which makes
  the store one of schema 1 and of before its files had a checksum of their own: nothing else tells such a bit from an
  upgrade.

Anything else counts as wrong, and the exit status is 1.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vdprobe.errors import StoreError, StoreUnusableError
from vdprobe.specs.features import Condition, FeatureSpec, Item, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.spans import frame_spans, group_spans
from vdprobe.specs.video import ClipSampling, Resize
from vdprobe.store.check import repair, verify
from vdprobe.store.checksum import checksum_file
from vdprobe.store.json_files import OWN
from vdprobe.store.shard import CODEC, index_size
from vdprobe.store.store import FeatureStore

KINDS: dict[str, Callable[[str], bool]] = {
    "store.json": lambda name: name == "store.json",
    "spec.json": lambda name: name.endswith("/spec.json"),
    "commit record": lambda name: name.endswith("/commit/zarr.json"),
    "group's zarr.json": lambda name: name.endswith(".zarr/zarr.json"),
    "tap's zarr.json": lambda name: name.endswith("/zarr.json"),
    "int8 steps": lambda name: ".scale/c/" in name,
    "chunk": lambda name: "/c/" in name,
    "claim": lambda name: name.startswith(CLAIMS),
}
"""A file is of the first kind that fits."""
CLAIMS = "claims/"
"""The folder of claims; their holder, which is this process, touches them now and then."""
COUNTS = ("flips", "found", "harmless", "refused", "wrong")


def spec_of(**changed: Any) -> FeatureSpec:
    values: dict[str, Any] = {
        "model": ModelIdentity(name="some/model", parts={"unet": "ab" * 32}),
        "taps": ("unet.up.1", "unet.up.2"),
        "timesteps": (50, 261),
        "condition": Condition(kind="vd-t", form="raw"),
        "noise": Noise(kind="gaussian", seed=3),
        "latents": LatentSampling(),
        "clips": ClipSampling(),
        "resize": Resize(),
        "compute_dtype": "float32",
        "store_dtype": "float16",
    }
    return FeatureSpec(**{**values, **changed})


SPECS = (
    spec_of(),
    spec_of(store_dtype="int8"),
    spec_of(taps=("vae.down.2",), timesteps=(), condition=None, noise=None, latents=None, store_dtype="bfloat16"),
)
ITEMS = tuple(
    (spec, Item(video=video, digest="cd" * 32, frames=(0, 2, 5), text="the bear" if spec.uses_text else None))
    for spec, video in (
        (SPECS[0], "bear"),
        (SPECS[0], "dog 🐶"),
        (SPECS[1], "bear"),
        (SPECS[1], "cat"),
        (SPECS[2], "bear"),
    )
)


def places_of(spec: FeatureSpec, item: Item, *, old: bool) -> dict[str, TapPlace]:
    """The maps of `SPECS[2]` stand for groups of frames, which those of a store of schema 1 do not."""
    frames = len(item.frames)
    spans = group_spans(frames, 2) if spec is SPECS[2] and not old else frame_spans(frames)
    return dict.fromkeys(spec.taps, TapPlace(8, spans))


def fill(store: FeatureStore, *, old: bool = False) -> None:
    """Writes the missing items."""
    for spec in SPECS:
        store.write_spec(spec, {"vdprobe": "1", "config": {"seed": 0}})
    for number, (spec, item) in enumerate(ITEMS):
        if store.is_committed(spec.key, item):
            continue
        rng = np.random.default_rng(number)
        places = places_of(spec, item, old=old)
        shape = (max(1, len(spec.timesteps)), len(places[spec.taps[0]].spans), 3, 4, 5)
        features = {tap: rng.standard_normal(shape).astype(np.float32) for tap in spec.taps}
        store.write(spec, item, features, places=places, attrs={"sigma": [0.5], "frame_size": [32, 40]})


def make_old(root: Path) -> None:
    """Turns the store into one of the first version: of schema 1, and no file has a checksum of its own."""
    for group in root.rglob("*.zarr"):
        _to_schema_1(group)
    (root / "store.json").write_text((root / "store.json").read_text().replace('"schema": 2', '"schema": 1'))
    for path in (root / "store.json", *root.glob("*/spec.json"), *root.rglob("commit/zarr.json")):
        value = json.loads(path.read_text())
        del value.get("attributes", value)[OWN]
        path.write_text(json.dumps(value))


def _to_schema_1(group: Path) -> None:
    """The file of a timestep is the values alone."""
    for head in group.glob("*/zarr.json"):
        array = json.loads(head.read_text())
        if array["node_type"] != "array" or array["codecs"][0]["name"] != CODEC:
            continue
        array["codecs"] = array["codecs"][0]["configuration"]["codecs"]
        head.write_text(json.dumps(array))
        for chunk in head.parent.glob("c/*/0/0/0/0"):
            chunk.write_bytes(chunk.read_bytes()[: -index_size(array["shape"][1])])
    record = json.loads((group / "commit/zarr.json").read_text())
    files = record["attributes"]["files"]
    record["attributes"]["files"] = {n: [(group / n).stat().st_size, checksum_file(group / n)] for n in files}
    (group / "commit/zarr.json").write_text(json.dumps(record))


def files(root: Path) -> dict[str, Path]:
    return {p.relative_to(root).as_posix(): p for p in sorted(root.rglob("*")) if p.is_file() and p.stat().st_size}


def meaning(store: FeatureStore, *, of_keys: bool) -> Any:
    """All that a reader gets; `of_keys`: of specs only what their keys cover."""
    specs = [(s.key, {**s.spec, "model": None} if of_keys else (s.spec, s.provenance)) for s in store.specs()]
    return specs, [
        (
            found.item,
            found.spec_key,
            found.attrs,
            found.taps,
            tap,
            t,
            found.tap_attrs(tap),
            found.spans(tap),
            found.read(tap, t).tobytes(),
        )
        for found in store.items()
        for tap in found.taps
        for t in found.attrs["timesteps"] or [None]
    ]


def flip_bits(root: Path, flips: int, seed: int, *, old: bool = False) -> Iterator[tuple[str, str, str]]:
    """(kind of file, which and which bit, one of `COUNTS` or what went wrong), one for each flip."""
    store = FeatureStore.create(root, durable=False)
    fill(store, old=old)
    assert store.claim("one")
    (root / "claims.lock").unlink(missing_ok=True)
    if old:
        make_old(root)
    known = [finding for finding in verify(store) if finding.kind == "unproved"]
    assert list(verify(store)) == known
    sound = {name: path.read_bytes() for name, path in files(root).items()}
    expected = meaning(store, of_keys=old)
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name in sound:
        kinds[next(kind for kind, fits in KINDS.items() if fits(name))].append(name)
    rng = np.random.default_rng(seed)
    for number in range(flips):
        kind = list(KINDS)[number % len(KINDS)]
        name = kinds[kind][rng.integers(len(kinds[kind]))]
        bit = int(rng.integers(8 * len(sound[name])))
        path = root / name
        spoilt = bytearray(sound[name])
        spoilt[bit // 8] ^= 1 << bit % 8
        path.write_bytes(spoilt)
        before = {n: (p.stat().st_ino, p.stat().st_mtime_ns) for n, p in files(root).items()}
        try:
            outcome = judge(root, name, sound, before, known, expected, old)
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        yield kind, f"{name}, bit {bit}", outcome
        for n, content in sound.items():  # as it was, whatever came of it
            if not (root / n).is_file() or (root / n).read_bytes() != content:
                (root / n).parent.mkdir(parents=True, exist_ok=True)
                (root / n).write_bytes(content)


def judge(
    root: Path, name: str, sound: dict[str, bytes], before: dict[str, Any], known: list[Any], expected: Any, old: bool
) -> str:
    path = root / name
    try:
        store = FeatureStore.open(root, mending=True)
    except StoreUnusableError as error:
        if old and name == "store.json" and "newer vdprobe" in str(error):
            return "refused"
        raise
    found = [finding for finding in verify(store) if finding not in known]
    if not [finding for finding in found if finding.kind != "unproved"]:
        return "harmless" if meaning(store, of_keys=old) == expected else "read otherwise, and not found"
    if not all(finding.path == path or finding.path in path.parents for finding in found):
        return f"found in another place: {found}"
    with suppress(StoreError):  # which a reader may get, and nothing else
        meaning(store, of_keys=True)
    repair(store)
    group = next((part for part in path.parents if part.suffix == ".zarr"), path)
    rest = [n for n in sound if n != name and group not in (root / n).parents and not n.startswith(CLAIMS)]
    touched = [n for n in rest if not (root / n).exists() or before[n] != _state(root / n)]
    if touched:
        return f"repair touched {touched[0]}"
    fill(FeatureStore.create(root, durable=False), old=old)
    if name.startswith(CLAIMS):
        store.claim("one")
    after = FeatureStore.open(root)
    if [finding for finding in verify(after) if finding.kind != "unproved"]:
        return "not mended"
    if meaning(after, of_keys=old) != expected:
        return "mended to something else"
    return "found"


def _state(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--old", action="store_true", help="a store of before records had a checksum of their own")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: the temporary folder)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = {kind: dict.fromkeys(COUNTS, 0) for kind in KINDS}
    wrong = []
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        for kind, what, outcome in flip_bits(folder / "store", options.flips, options.seed, old=options.old):
            counted = outcome if outcome in COUNTS else "wrong"
            table[kind]["flips"] += 1
            table[kind][counted] += 1
            if counted == "wrong":
                wrong.append(f"{what}: {outcome}")
    finally:
        shutil.rmtree(folder)
    table["all"] = {name: sum(row[name] for row in table.values()) for name in COUNTS}
    if options.json:
        json.dump({"table": table, "wrong": wrong}, sys.stdout, indent=1)
        print()
    else:
        print(f"{'':20}" + "".join(f"{name:>10}" for name in COUNTS))
        for kind, row in table.items():
            print(f"{kind:20}" + "".join(f"{row[name]:10,}" for name in COUNTS))
        for line in wrong[:20]:
            print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
