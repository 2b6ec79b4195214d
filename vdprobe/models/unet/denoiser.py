"""A video UNet up to its last tap.

Shape letters: E expressions, C channels, F frames, h w height and width of the latents.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdprobe.errors import ConfigError
from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
from vdprobe.models.networks.from_config import from_config
from vdprobe.models.networks.tapped import TapPoint, check_points, load_onto_meta, needed_tensors, run_tapped
from vdprobe.models.networks.weights import fill
from vdprobe.models.unet.facts import UNetFacts
from vdprobe.models.unet.maps import frame_maps, level_sizes
from vdprobe.models.unet.taps import head_of, kind_of, module_path
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.spans import Spans

SMALL = (2, 16, 16)
"""Frames, rows and columns of the latents of the forward that shows which modules are needed."""


@dataclass(frozen=True)
class UNetDenoiser:
    """The network with the weights of the modules before the last tap; the others are on the meta device.

    - `empty`: the tokens of the empty text, for conditions without text of families that always read one.
    """

    family: UNetFacts
    network: nn.Module
    points: Mapping[str, TapPoint]
    settings: Mapping[str, Any]
    empty: TextTokens | None = None

    @classmethod
    def load(
        cls,
        family: UNetFacts,
        taps: Sequence[str],
        settings: Mapping[str, Any],
        dtype: torch.dtype,
        device: torch.device,
        *,
        whole: bool = False,
    ) -> "UNetDenoiser":
        """Only the tensors of modules that are entered before all taps are caught are read, unless `whole` is."""
        points = tap_points(family, taps)
        network = load_onto_meta(lambda: make_network(family))
        check_taps(network, points)
        names = None if whole else needed(family, points, settings)
        seed = family.pipeline.seed(family.pipeline.denoiser)
        fill(network, seed, family.weight_files, dtype, device, only=names)
        for module in network.modules():
            for name, value in module.named_buffers(recurse=False):
                if value.device.type != "meta":
                    setattr(module, name, value.to(device, dtype if value.is_floating_point() else value.dtype))
        return cls(family, network.requires_grad_(False).eval(), points, settings)

    def condition(
        self,
        condition: Condition,
        frames: int,
        text: TextTokens | None,
        image: ImageTokens | None,
        adapter: Adapter | None,
    ) -> Any:
        """What the family makes of text and image."""
        return self.family.make_condition(condition, frames, text or self.empty, image, adapter, self.settings)

    def __call__(
        self, latents: Float[Tensor, "C F h w"], level: NoiseLevel, conditions: Iterable[Any]
    ) -> dict[str, Float[Tensor, "E F _ _ _"]]:
        """The taps of one clip under several conditions at once."""
        conditions = tuple(conditions)
        batch = latents[None].expand(len(conditions), -1, -1, -1, -1)
        caught = run_tapped(self.network, self.points, self.family.arguments(batch, level, conditions, self.settings))
        sizes = level_sizes((latents.shape[2], latents.shape[3]), self.family.blocks)
        return {
            tap: frame_maps(tap, self.points[tap], value, batch=len(conditions), frames=latents.shape[1], sizes=sizes)
            for tap, value in caught.items()
        }

    def predict(self, latents: Float[Tensor, "C F h w"], level: NoiseLevel, condition: Any) -> Float[Tensor, "C F h w"]:
        """What the UNet gives for latents under a condition."""
        out = self.network(**self.family.arguments(latents[None], level, (condition,), self.settings))[0]
        return self.family.output(out)[0]

    def facts(self, frames: int) -> tuple[str, ...]:
        """What the family has to say of itself."""
        return self.family.facts(self.settings)

    def compile(self) -> None:
        """Compiles each block on its own."""
        for name, block in self.network.named_modules():
            if name.count(".") == 1 and name.startswith(("down_blocks.", "up_blocks.")):
                block.compile()

    def spans(self, tap: str, latents: Spans) -> Spans:
        """The UNet keeps the frames that it is given."""
        return latents


def make_network(family: UNetFacts) -> nn.Module:
    """The UNet of a configuration, with values wherever the caller has them made.

    Raises `ModelError` for a configuration that it cannot be made from.
    """
    what = f"part '{family.pipeline.denoiser}' of model '{family.pipeline.name}'"
    return from_config(family.network_class, family.config, what)


def tap_points(family: UNetFacts, taps: Iterable[str]) -> dict[str, TapPoint]:
    """Where in the network canonical taps are; heads of one attention share a place."""
    return {tap: TapPoint(module_path(tap, family.blocks, family.stem), kind_of(tap)) for tap in taps}


def needed(family: UNetFacts, points: Mapping[str, TapPoint], settings: Mapping[str, Any]) -> set[str] | None:
    """The names of the tensors that are read, None for all."""
    return needed_tensors(lambda: make_network(family), points, lambda: empty_arguments(family, SMALL, settings))


def check_taps(network: nn.Module, points: Mapping[str, TapPoint]) -> None:
    """Raises `ConfigError` for a tap of a module or a head that the network does not have."""
    check_points(network, points)
    for tap, point in points.items():
        head, heads = head_of(tap), getattr(network.get_submodule(point.path), "heads", 0)
        if head is not None and head >= heads:
            raise ConfigError(f"unknown tap '{tap}': this attention has the heads 0 to {heads - 1}")


def empty_arguments(family: UNetFacts, size: tuple[int, int, int], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a forward whose tensors have no values, wherever tensors are made."""
    latents = torch.empty(1, family.latent_channels, *size)
    level = NoiseLevel(timestep=0, signal=1.0, amount=0.0, told=0)
    return family.arguments(latents, level, (family.empty_condition(size[0]),), settings)
