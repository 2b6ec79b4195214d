"""The whole story in minutes on the bundled model: videos, features, pictures of them, a number with its controls."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vdprobe.analyses.propagation import Propagation, pixel_patches, propagate_labels, propagation_scores
from vdprobe.data.frames import FrameReader
from vdprobe.data.masks import read_labels
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import Plan, make_plan
from vdprobe.extraction.report import Report
from vdprobe.extraction.run import extract
from vdprobe.figures.feature_maps import draw_feature_maps
from vdprobe.figures.similarity import draw_similarity
from vdprobe.figures.style import broken
from vdprobe.store.store import FeatureStore

MODEL, CONTROL = "tiny-t2v", "random-unet:tiny-t2v"
VIDEOS, FIRST = 3, 40
"""How many videos of the test split, from which number on."""
TIMESTEP = 0
FOLLOWED = "unet.down_blocks.0.temp_attentions.0"
"""Whose likeness to a point is shown, and what carries labels on: the best tap on the val split (the model's card)."""
LAYERS = ("vae.down.2", "unet.in", FOLLOWED, "unet.down.1", "unet.mid", "unet.up.1", "unet.up.2", "unet.up.3")
"""What is shown layer by layer, in the order of the forward pass."""
SHOWN = "unet.up.2"
"""What is shown condition by condition."""


@dataclass(frozen=True)
class Demo:
    """Where everything lies, and label propagation's mean J&F over the objects of all videos, by feature."""

    videos: Path
    spec: Path
    store: Path
    pictures: Mapping[str, Path]
    scores: Mapping[str, float]
    report: Report


def run_demo(folder: Path, *, on_progress: Callable[[Report], None] | None = None) -> Demo:
    """Makes videos in `folder`, extracts their VD-I, VD-T and VD-IT features, draws them, and puts one question.

    The question: carried from the first frame by nearest neighbours, how well do the labels fit? Asked of
    the model, of the same model with a UNet of random weights, and of raw pixels.
    """
    videos = folder / "videos"
    if not (videos / "meta_expressions" / "test" / "meta_expressions.json").is_file():
        write_moving_shapes(videos, {"test": VIDEOS}, start=FIRST)
    store = FeatureStore.create(folder / "store")
    spec = folder / "extract.yaml"
    plan, report = _extract(MODEL, ("vd-i", "vd-t", "vd-it"), videos, store, spec, on_progress)
    control, _ = _extract(CONTROL, ("vd-t",), videos, store, folder / "control.yaml", on_progress)
    pictures = _draw(plan, control, store, folder)
    return Demo(videos, spec, store.root, pictures, _propagate(plan, control, store), report)


def _extract(
    model: str,
    conditions: tuple[str, ...],
    videos: Path,
    store: FeatureStore,
    spec: Path,
    on_progress: Callable[[Report], None] | None,
) -> tuple[Plan, Report]:
    values = {
        "model": {"pipeline": model},
        "videos": {"path": str(videos), "split": "test"},
        "clips": {"kind": "windows", "frames": 8},
        "resize": {"short_side": 128, "long_side": None},
        "taps": list(LAYERS),
        "conditions": list(conditions),
        "noises": ["gaussian"],
        "timesteps": [TIMESTEP],
        "store": {"path": str(store.root)},
    }
    spec.write_text(json.dumps(values, indent=2), encoding="utf-8")  # JSON is YAML
    plan = make_plan(parse_config(values))
    return plan, extract(plan, store, on_progress=on_progress)


def _features(plan: Plan, store: FeatureStore, clip: ClipWork, condition: str, text: int = 0) -> dict[str, np.ndarray]:
    """Tap to (frame, channel, height, width), of the clip's VAE taps and those under `condition` for one text."""
    out: dict[str, np.ndarray] = {}
    for spec in plan.specs:
        if spec.condition is None or spec.condition.kind == condition:
            items = clip.items(spec)
            item = store.get(spec.key, items[min(text, len(items) - 1)])
            out |= {tap: item.read_frames(tap).astype(np.float32) for tap in spec.taps}
    return out


def _draw(plan: Plan, control: Plan, store: FeatureStore, folder: Path) -> dict[str, Path]:
    """The pictures of the first video, its first text and the object it means."""
    clip, expression = plan.clips[0], plan.clips[0].video.expressions[0]
    with FrameReader(clip.video) as reader:
        frames = reader.read(clip.frames)
    by_condition = {kind: _features(plan, store, clip, kind) for kind in ("vd-i", "vd-t", "vd-it")}
    untrained = _features(control, store, clip, "vd-t")
    where = read_labels(clip.video, clip.frames)[0] == int(expression.object_id or 1)
    point = _inside(where)
    named = {
        "layers": f"Layers in the order of the forward pass: three principal components; text: '{expression.text}'",
        "conditions": f"{SHOWN} under the three conditions; text: '{expression.text}'",
        "similarity": f"Likeness to the marked point (cosine, centred): {FOLLOWED} and controls",
    }
    paths = {name: folder / f"{name}.png" for name in named}
    rows = {broken(tap) + ("\nvd-it" if tap.startswith("unet") else ""): by_condition["vd-it"][tap] for tap in LAYERS}
    draw_feature_maps(frames, rows, paths["layers"], named["layers"])
    rows = {kind: found[SHOWN] for kind, found in by_condition.items()} | {"random UNet\nvd-t": untrained[SHOWN]}
    draw_feature_maps(frames, rows, paths["conditions"], named["conditions"])
    rows = {kind: found[FOLLOWED] for kind, found in by_condition.items()} | {
        "random UNet\nvd-t": untrained[FOLLOWED],
        "VAE\nvae.down.2": untrained["vae.down.2"],
        "pixels\n8x8": pixel_patches(frames).numpy(),
    }
    draw_similarity(frames, rows, point, paths["similarity"], named["similarity"])
    return paths


def _inside(mask: np.ndarray) -> tuple[float, float]:
    """The point (x, y) of a mask that is furthest from its edge, as shares of width and height."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), mask.shape)
    return (float(column) + 0.5) / mask.shape[1], (float(row) + 0.5) / mask.shape[0]


def _propagate(plan: Plan, control: Plan, store: FeatureStore) -> dict[str, float]:
    kept: dict[str, list[float]] = {}
    for clip, other in zip(plan.clips, control.clips, strict=True):
        truth = read_labels(clip.video, clip.frames).astype(np.int64)
        with FrameReader(clip.video) as reader:
            features = {"raw pixels, 8x8 patches": pixel_patches(reader.read(clip.frames))}
        features[f"random UNet, {FOLLOWED}"] = torch.from_numpy(_features(control, store, other, "vd-t")[FOLLOWED])
        features[f"{MODEL}, {FOLLOWED}"] = torch.from_numpy(_features(plan, store, clip, "vd-t")[FOLLOWED])
        for name, values in features.items():
            masks = propagate_labels(values, truth[0], Propagation())
            kept.setdefault(name, []).extend(score.jf for score in propagation_scores(masks, truth))
    return {name: float(np.mean(values)) for name, values in kept.items()}
