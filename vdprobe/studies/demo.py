"""The story in one minute: a video, features under three conditions, a picture of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vdprobe.data.frames import FrameReader
from vdprobe.data.moving_shapes import make_video
from vdprobe.data.write_video import write_video
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.run import Report, extract
from vdprobe.figures.feature_maps import draw_feature_maps
from vdprobe.store.store import FeatureStore

SHOWN = ("vae.down.2", "unet.up.2", "unet.up.1")
TIMESTEP = 0


@dataclass(frozen=True)
class Demo:
    """Where everything lies."""

    spec: Path
    store: Path
    figure: Path
    report: Report


def run_demo(folder: Path, *, on_progress: Callable[[Report], None] | None = None) -> Demo:
    """Makes a scene in `folder`, extracts VD-I, VD-T and VD-IT features of it, and draws them.

    The model has ModelScopeT2V's architecture at a small width with random weights: what shows is
    what the architecture alone keeps of a video, the control that trained weights must beat.
    """
    folder.mkdir(parents=True, exist_ok=True)
    video = make_video("test", 21)
    texts = [referral.text for referral in video.referrals]
    write_video(video.rendering.frames, folder / "scene.mp4")
    (folder / "expressions.json").write_text(json.dumps({"scene": texts}, indent=2), encoding="utf-8")
    values = {
        "model": {"pipeline": "random:tiny", "adapter": "random:0"},
        "videos": {"path": str(folder / "scene.mp4"), "expressions": str(folder / "expressions.json")},
        "clips": {"kind": "windows", "frames": 8},
        "resize": {"short_side": 128, "long_side": None},
        "taps": ["vd-it"],
        "conditions": ["vd-i", "vd-t", "vd-it"],
        "noises": ["gaussian"],
        "timesteps": [TIMESTEP],
        "store": {"path": str(folder / "store")},
    }
    spec = folder / "extract.yaml"
    spec.write_text(json.dumps(values, indent=2), encoding="utf-8")  # JSON is YAML
    plan = make_plan(parse_config(values))
    store = FeatureStore.create(folder / "store")
    report = extract(plan, store, on_progress=on_progress)
    clip = plan.clips[0]
    rows: dict[str, np.ndarray] = {}
    for wanted in plan.specs:
        item = store.get(wanted.key, clip.items(wanted)[0])
        rows |= {f"{wanted.label}\n{tap}": item.read(tap) for tap in SHOWN if tap in wanted.taps}
    with FrameReader(clip.video) as reader:
        frames = reader.read(clip.frames)
    figure = folder / "features.png"
    draw_feature_maps(frames, rows, figure, f"random:tiny, t = {TIMESTEP}, text: '{texts[0]}' (three components)")
    return Demo(spec=spec, store=store.root, figure=figure, report=report)
