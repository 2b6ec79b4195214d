"""What official inference does with each dataset: an imported head does the same, unless it is told otherwise."""

from collections.abc import Mapping
from typing import Any

from vdprobe.data.layouts import Layout
from vdprobe.specs.load import flatten
from vdprobe.studies.predict.mask_files import OF_LAYOUTS, Benchmark

FREE: tuple[Benchmark, ...] = ("ref-ytvos", "davis")
"""Read with `T.Resize(360)`, without a limit on the long side (inference_ytvos.py:44, inference_davis.py:45)."""
CENTRED: tuple[Benchmark, ...] = ("a2d", "jhmdb")
"""Clips of 5 frames around the one that is asked for, texts in lower case (a2d.py:73 and 114, jhmdb.py:67 and 72)."""


def official_manner(layout: Layout, benchmark: Benchmark | None) -> Benchmark:
    """Which benchmark's official script videos are for: the one that is asked for, or else what their layout says.

    `meta_expressions/` beside `JPEGImages/`, which `auto` takes for `ref-davis`, is what inference_ytvos.py reads.
    """
    if benchmark is not None and benchmark != "plain":
        return benchmark
    return "ref-ytvos" if layout == "ref-davis" else OF_LAYOUTS.get(layout, "plain")


def official_options(manner: Benchmark) -> dict[str, Any]:
    """Options of a prediction, as nested plain values.

    A short side of 360, and a long one of at most 640 by the rule of the official datasets' "val" (a2d.py,
    transforms_video.py), but for `FREE`. MeViS and plain videos have no official script: they get that rule too, raw
    texts and one query for the video.
    """
    features: dict[str, Any] = {"resize": {"short_side": 360, "long_side": None if manner in FREE else 640}}
    if manner in CENTRED:
        features["clips"] = {"kind": "centred", "frames": 5}
    elif manner == "davis":  # each window has a query of its own
        features["clips"] = {"kind": "windows", "frames": 36}
    return {
        "features": features,
        "text_case": "lower" if manner in CENTRED else "raw",
        "query": "clip" if manner == "davis" else "video",
    }


def compare_official(manner: Benchmark, asked: Mapping[str, Any]) -> list[str]:
    """Notes on what of `official_options` a prediction's plain configuration has, and on what it has not."""
    same, other = [], []
    for path, official in flatten(official_options(manner)):
        value: Any = asked
        for name in path.split("."):
            value = value[name]
        if value == official:
            same.append(f"{path} {_said(value)}")
        else:
            other.append(f"{path} {_said(value)} (official {_said(official)})")
    notes = [f"as the official code does for '{manner}': {', '.join(same)}"] if same else []
    return notes + ([f"other than the official code for '{manner}': {', '.join(other)}"] if other else [])


def _said(value: Any) -> str:
    return "null" if value is None else str(value)
