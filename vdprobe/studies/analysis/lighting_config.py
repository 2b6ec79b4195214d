"""What a study of light is asked, and the names of what it measures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from vdprobe.errors import ConfigError, suggest
from vdprobe.extraction.config import ExtractConfig
from vdprobe.specs.lighting import WHOLE_VIDEO, Lighting, LightingKind
from vdprobe.studies.analysis.config import AnalysisConfig

COSINE, CENTRED, IOU, CHANGE = "cosine", "centred cosine", "IoU", "change of IoU"
OBJECT = "object"
KEYS = ("measure", "kind", "region", "strength")


@dataclass(frozen=True, kw_only=True)
class LightingConfig(AnalysisConfig):
    """Under which lights features are compared with those of the videos as they are; see `Lighting`.

    - `strengths`: rising from 0 to at most 1.
    - `share`: of the frames that are changed, for the kinds that do not go through all of them.
    - `light_seed`: of what is drawn for a frame.
    - `heads`: a condition, or the name of a control, to the run of a head that was trained on its features: the IoU
      of its masks is measured under each light too.
    """

    kinds: tuple[LightingKind, ...] = ("brightness",)
    strengths: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)
    share: float = 1.0
    light_seed: int = 0
    heads: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.strengths) < 2 or self.strengths[0] != 0 or (np.diff(self.strengths) <= 0).any():
            raise ConfigError(f"strengths (={list(self.strengths)}) must rise from 0 on, and be two or more")
        if not self.kinds:
            raise ConfigError("kinds is empty; name at least one change of light")
        if self.features.lighting is not None:
            raise ConfigError(
                "features.lighting is what this analysis varies; leave it out, and give kinds and strengths"
            )
        self.lights()
        known = (*self.features.conditions, *self.controls)
        for name in self.heads:
            if name not in known:
                raise ConfigError(
                    f"heads.{name} is no condition of the features and no control: {suggest(name, known)}"
                )

    def lights(self) -> list[Lighting]:
        """Every kind at every strength above 0."""
        return [
            Lighting(kind=kind, strength=strength, share=1 if kind in WHOLE_VIDEO else self.share, seed=self.light_seed)
            for kind in dict.fromkeys(self.kinds)
            for strength in self.strengths[1:]
        ]

    def seeded(self, config: ExtractConfig) -> list[ExtractConfig]:
        """The extraction under each seed, as the videos are and under each light."""
        seeded = super().seeded(config)
        return seeded + [replace(one, lighting=light) for one in seeded for light in self.lights()]
