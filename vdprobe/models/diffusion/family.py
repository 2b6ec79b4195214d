"""`Family`: what one architecture of video diffusion models does its own way.

All that families share (the grid of conditions and noises, noise, latents, what is done once for a clip) is written
once, beside this. A family's file imports torch inside of its methods: naming features must cost nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vdprobe.models.diffusion.forms import EMPTY_TEXT, resolve_condition
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.process import Flow, Process
from vdprobe.models.families import FAMILIES, load_object
from vdprobe.specs.features import Condition, ConditionKind, FeatureSpec
from vdprobe.specs.layer import Layer, Shape
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch

    from vdprobe.models.diffusion.adapter import Adapter
    from vdprobe.models.diffusion.parts_loaded import LoadedParts


@dataclass(frozen=True)
class Family(ABC):
    """A pipeline whose denoiser is of a known class."""

    pipeline: Pipeline
    text_parts: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")
    """The parts that read texts."""

    def __post_init__(self) -> None:  # noqa: B027
        """Raises `ModelError` for a checkpoint of the class that the family cannot run."""

    @abstractmethod
    def expand_taps(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """Canonical names of aliases, paths and sets of taps, each once; the family's default for None.

        Raises `ConfigError` for a name that is no tap, with the nearest ones.
        """

    @abstractmethod
    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """Every tap, see `Model.layers`."""

    @abstractmethod
    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""

    @abstractmethod
    def load_parts(
        self,
        taps: Sequence[str],
        conditions: Sequence[Condition],
        dtype: "torch.dtype",
        device: "torch.device",
        settings: Mapping[str, Any],
        *,
        whole: bool = False,
    ) -> "LoadedParts":
        """The parts that taps (canonical names) and conditions need, and no more.

        - `settings`: what `settings` gave for the spec. `whole`: the denoiser to its output, for `Denoiser.predict`.
        """

    @abstractmethod
    def check_adapters(self, conditions: Sequence[Condition], adapters: Sequence["Adapter"]) -> None:
        """Raises `ModelError` where tokens or adapters would not fit the denoiser."""

    def process(self) -> Process:
        """The process that the denoiser was trained on, from data to noise."""
        return self.pipeline.process()

    @property
    def latent_channels(self) -> int:
        """Channels of the noisy latents."""
        return int(self.pipeline.config(self.pipeline.denoiser)["in_channels"])

    @property
    def token_width(self) -> int:
        """Channels of a token as the cross-attention takes it: what an adapter makes."""
        return int(self.pipeline.config(self.pipeline.denoiser)["cross_attention_dim"])

    @property
    def unguided(self) -> Condition:
        """What an inversion is conditioned on: the empty text; what else the denoiser always sees stays."""
        return EMPTY_TEXT

    def frame_group(self, request: FeatureRequest) -> int:
        """The frames that a latent frame after the first stands for; 1 where each frame has its own."""
        return 1

    @property
    def prediction(self) -> Literal["epsilon", "v_prediction", "flow_prediction"]:
        """What the denoiser gives, by the configuration of the scheduler."""
        config = self.pipeline.config("scheduler")
        kind = config.get("prediction_type", "epsilon")
        flow = isinstance(self.process(), Flow)
        return "flow_prediction" if flow else "v_prediction" if kind == "v_prediction" else "epsilon"

    def parts(self, condition: Condition | None) -> tuple[str, ...]:
        """The parts that features under `condition` depend on; the VAE alone where there is none."""
        if condition is None:
            return ("vae",)
        text = self.text_parts if condition.uses_text else ()
        image = ("image_encoder",) if condition.uses_image else ()
        return (self.pipeline.denoiser, "vae", "scheduler", *text, *image)

    def parts_at(self, condition: Condition | None, levels: Sequence[NoiseLevel]) -> tuple[str, ...]:
        """The `parts` that these noise levels need: all of them where one denoiser serves all levels."""
        return self.parts(condition)

    def resolve_condition(self, kind: ConditionKind, fingerprints: Mapping[str, str]) -> Condition:
        """What a condition is with these parts of an adapter.

        Raises `ModelError` for one that has no meaning in this family, with the reason and the remedy.
        """
        return resolve_condition(kind, fingerprints)

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """Everything else that changes values, by name, for the key; empty where nothing does.

        Raises `ConfigError` for a request that the family cannot follow.
        """
        return {}


def family_of(pipeline: Pipeline) -> Family:
    """The family of a pipeline. Raises `ModelError` for a denoiser of no known class."""
    return load_object(FAMILIES[pipeline.denoiser_class])(pipeline)


def spec_settings(specs: Iterable[FeatureSpec]) -> Mapping[str, Any]:
    """The settings of the specs of one request, which share them."""
    return next((spec.settings for spec in specs if spec.settings), {})
