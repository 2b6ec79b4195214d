"""What a change of light does to the masks of trained heads: predicted under each light, and compared with the truth.

A head's own training says what it reads: condition, noise, timestep, taps, clips and size of frames.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from vdprobe.errors import ConfigError
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.stores import open_store
from vdprobe.models.registry import find_model
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.lighting import Lighting
from vdprobe.studies.analysis.cells import NONE
from vdprobe.studies.analysis.lacking import require
from vdprobe.studies.analysis.lighting_config import CHANGE, IOU, KEYS, OBJECT, LightingConfig
from vdprobe.studies.analysis.mask_ious import masked_videos, read_ious
from vdprobe.studies.analysis.parts import Part
from vdprobe.studies.analysis.statistics import video_values
from vdprobe.studies.file_names import file_name
from vdprobe.studies.predict.config import PredictConfig, parse_predict_config
from vdprobe.studies.predict.head_folder import HeadFolder, find_head
from vdprobe.studies.predict.mask_files import MASKS
from vdprobe.studies.predict.run import run_prediction

HEAD = "head"
"""What stands for the tap: a head reads several."""


def head_parts(
    config: LightingConfig,
    out: Path,
    extracting: bool,
    on_progress: Callable[[str, int, int], None] | None,
) -> Iterator[Part]:
    """The IoU of each video under each head and light, and how it changes.

    Masks go into folders of `out`, and are made once.

    Raises `DataError` where features lack and may not be extracted, `ConfigError` for a head of another condition or
    model than it is named after, and as `run_prediction` does.
    """
    heads = {name: find_head(run) for name, run in config.heads.items()}
    videos, failures = masked_videos(config.features.videos)
    yield pd.DataFrame(), failures
    for name, found in heads.items():
        lights = (None, *config.lights())
        before: dict[tuple[str, str], float] = {}
        for number, light in enumerate(lights, start=1):
            wanted = _prediction(config, found, light)
            names = _names(config, name, found, wanted)
            if not extracting:
                require(make_plan(wanted.features), open_store(wanted.features.store))
            folder = out / file_name(name) / (file_name(f"{light.kind} {light.strength:g}") if light else "none")
            made = run_prediction(wanted, found, folder)
            ious, lacks = read_ious(folder / MASKS, "", videos)
            before = before or {(one.video, one.expression): float(one.iou.mean()) for one in ious}
            rows = [
                names | {"video": one.video, "measure": measure, "region": OBJECT, "value": value} | keys
                for one in ious
                for measure, value in _values(float(one.iou.mean()), before.get((one.video, one.expression))).items()
                for keys in _strengths(config, light)
            ]
            if on_progress is not None:
                on_progress(f"masks of {name}", number, len(lights))
            yield video_values(rows, KEYS), [*made.failures, *lacks]


def _prediction(config: LightingConfig, found: HeadFolder, light: Lighting | None) -> PredictConfig:
    """As the head was trained, of the analysis's videos under a light, in its store and on its device."""
    asked = {
        "videos": to_plain(config.features.videos),
        "store": {name: getattr(config.features.store, name) for name in ("path", "verify", "durable")},
        "lighting": to_plain(light),
        "model": {"device": config.features.model.device},
    }
    return parse_predict_config({"features": asked, "benchmark": "plain"}, found)


def _values(iou: float, before: float | None) -> dict[str, float]:
    """The IoU of an expression, and its change where it is known without the light."""
    return {IOU: iou} if before is None else {IOU: iou, CHANGE: iou - before}


def _strengths(config: LightingConfig, light: Lighting | None) -> list[dict[str, Any]]:
    """Kind and strength of a light; of none, strength 0 of every kind."""
    if light is not None:
        return [{"kind": light.kind, "strength": light.strength}]
    return [{"kind": kind, "strength": 0.0} for kind in dict.fromkeys(config.kinds)]


def _names(config: LightingConfig, name: str, found: HeadFolder, wanted: PredictConfig) -> dict[str, Any]:
    """The columns that name a cell."""
    features = wanted.features
    condition, noise = features.conditions[0], features.noises[0]
    timestep = features.timesteps[0] if wanted.timestep is None else wanted.timestep
    control = name in config.controls
    expected = config.backbones()[name if control else config.subject].model.pipeline
    if features.model.pipeline != expected:
        raise ConfigError(
            f"heads.{name}: the head in {found.folder} reads features of '{features.model.pipeline}' and not of "
            f"'{expected}'; give the run of one that does, or name it after the control that it reads"
        )
    if not control and condition != name:
        raise ConfigError(f"heads.{name}: the head in {found.folder} was trained under {condition}; name it so")
    backbone = name if control else config.subject
    if find_model(features.model.pipeline, features.model.image_encoder).levels((timestep,)):
        read = {"condition": condition, "noise": noise, "timestep": str(timestep)}
    else:  # what its configuration says of them has no meaning
        read = dict.fromkeys(("condition", "noise", "timestep"), NONE)
    return {"backbone": backbone, "control": control, **read, "seed": features.seed, "tap": HEAD}
