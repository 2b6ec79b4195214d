"""What every analysis asks for: features, and controls that they are held against."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vdprobe.errors import ConfigError
from vdprobe.extraction.config import ExtractConfig, parse_config
from vdprobe.models.diffusion.pipeline import RANDOM
from vdprobe.models.diffusion.vae_taps import LATENTS
from vdprobe.models.pixels.pixels import PIXELS
from vdprobe.models.registry import is_control
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.features import Timestep
from vdprobe.specs.load import merge
from vdprobe.specs.spans import USUAL_RULE, FrameRule

RANDOM_UNET = RANDOM[1]


def with_controls(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an analysis, with controls where none are given: a random UNet, VAE latents and raw pixels.

    Those that the model can have: random weights have no random UNet, and what is no pipeline has no latents. An empty
    mapping of `controls` asks for none.
    """
    model = str(values["features"]["model"]["pipeline"])
    found: dict[str, Any] = {}
    if not is_control(model):
        if not model.startswith(RANDOM):
            found["random UNet"] = {"model": {"pipeline": f"{RANDOM_UNET}{model}"}}
        found["VAE latents"] = {"taps": [LATENTS]}
    if model != PIXELS:
        found["pixels"] = {"model": {"pipeline": PIXELS}, "taps": [f"{PIXELS}.8"]}
    return {"controls": found, **values}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One place of the grid; what is not given is the first that the tables hold.

    - `videos`: how many are shown as pictures, by analyses that have some.
    """

    tap: str | None = None
    timestep: Timestep | None = None
    condition: str | None = None
    noise: str | None = None
    videos: int = 3


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig:
    """An analysis of a model's features and of its controls'.

    - `features`: the grid of conditions, noises, timesteps and taps that is looked at.
    - `controls`: name to what differs from `features`, such as `{random UNet: {model: {pipeline:
      random-unet:tiny-t2v}}}`: what is true of a control too says nothing about the model.
    - `frame_rule`: what the features of a frame are where the maps of a tap stand for several frames, see `FrameRule`;
      with `ends` only frames that have features are looked at.
    - `seeds`: of noise and posterior, each extracted and measured; by default that of `features` alone.
    - `shown`: what figures show where there is no room for all of the grid; tables hold all of it.
    """

    features: ExtractConfig
    controls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    frame_rule: FrameRule = USUAL_RULE
    seeds: tuple[int, ...] = ()
    shown: Shown = field(default_factory=lambda: Shown())

    def __post_init__(self) -> None:
        if self.subject in self.controls:
            raise ConfigError(f"a control is called '{self.subject}', as the model is; give it another name")
        if len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds {list(self.seeds)} hold one twice, which would count it as two; give each once")

    @property
    def subject(self) -> str:
        """The model's name in tables and figures."""
        return self.features.model.pipeline

    def backbones(self) -> dict[str, ExtractConfig]:
        """The extraction of the model and of each control, by name.

        Raises `ConfigError` for a control whose options make no extraction.
        """
        base = to_plain(self.features)
        return {self.subject: self.features} | {
            name: parse_config(merge(base, over)) for name, over in self.controls.items()
        }

    def seeded(self, config: ExtractConfig) -> list[ExtractConfig]:
        """The extraction under each seed."""
        return [replace(config, seed=seed) for seed in self.seeds or (self.features.seed,)]
