"""A video transformer up to its last tap.

Shape letters: E expressions, C channels, f h w latent frames, height and width; n r c maps, rows and columns of a tap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdprobe.errors import FeatureError
from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
from vdprobe.models.networks.tapped import (
    TapPoint,
    check_points,
    first_of,
    joined_heads,
    load_onto_meta,
    needed_tensors,
    run_tapped,
)
from vdprobe.models.networks.weights import load_into, randomise
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.models.transformer.taps import head_of, kind_of
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.spans import Spans

SMALL = (1, 4, 4)
"""Latent frames, rows and columns, in patches, of the forward that shows which modules are needed."""


@dataclass(frozen=True)
class TransformerDenoiser:
    """The network with the weights of the modules before the last tap; the others are on the meta device."""

    family: VideoTransformer
    network: nn.Module
    points: Mapping[str, TapPoint]
    settings: Mapping[str, Any]

    @classmethod
    def load(
        cls,
        family: VideoTransformer,
        taps: Sequence[str],
        settings: Mapping[str, Any],
        dtype: torch.dtype,
        device: torch.device,
    ) -> "TransformerDenoiser":
        """Only the tensors of modules that are entered before all taps are caught are read."""
        pipeline, part = family.pipeline, family.pipeline.denoiser
        points = tap_points(family, taps)
        network = load_onto_meta(lambda: make_network(family))
        check_points(network, points)
        names = needed(family, points, settings)
        kept = getattr(network, "_keep_in_fp32_modules", None) or ()
        seed = pipeline.seed(part)
        if seed is not None:
            randomise(network, seed, dtype, device, only=names, kept=kept)
        else:
            load_into(network, pipeline.weight_files(part), dtype, device, only=names, kept=kept)
        for module in network.modules():
            for name, value in module.named_buffers(recurse=False):
                if value.device.type != "meta":
                    setattr(module, name, value.to(device))
        return cls(family, network.requires_grad_(False).eval(), points, settings)

    def condition(
        self,
        condition: Condition,
        frames: int,
        text: TextTokens | None,
        image: ImageTokens | None,
        adapter: Adapter | None,
    ) -> TextTokens:
        """The text."""
        assert text is not None
        return text

    def __call__(
        self, latents: Float[Tensor, "C f h w"], level: NoiseLevel, conditions: Iterable[TextTokens]
    ) -> dict[str, Float[Tensor, "E n _ r c"]]:
        """The taps of one clip under several texts at once."""
        texts = tuple(conditions)
        batch = latents[None].expand(len(texts), -1, -1, -1, -1)
        caught = run_tapped(self.network, self.points, self.family.arguments(batch, level, texts, self.settings))
        grid = token_grid(self.family, latents.shape[1:])
        return {tap: token_maps(self.family, tap, value, grid) for tap, value in caught.items()}

    def compile(self) -> None:
        """Compiles each block on its own."""
        for name, _ in self.family.blocks.lists:
            for block in self.network.get_submodule(name).children():
                block.compile()

    def spans(self, tap: str, latents: Spans) -> Spans:
        """The frames of the latent frames of each token."""
        return token_spans(self.family, latents)


def make_network(family: VideoTransformer) -> nn.Module:
    """The transformer of a configuration, with values wherever the caller has them made."""
    network: nn.Module = getattr(diffusers, family.network_class).from_config(family.config)
    return network


def tap_points(family: VideoTransformer, taps: Iterable[str]) -> dict[str, TapPoint]:
    """Where in the network canonical taps are; heads of one attention share a place."""
    return {tap: TapPoint(family.blocks.module(tap), kind_of(tap)) for tap in taps}  # type: ignore[arg-type]


def needed(family: VideoTransformer, points: Mapping[str, TapPoint], settings: Mapping[str, Any]) -> set[str] | None:
    """The names of the tensors that are read, None for all."""
    frames, rows, columns = (n * p for n, p in zip(SMALL, family.strides.patch, strict=True))
    return needed_tensors(
        lambda: make_network(family), points, lambda: empty_arguments(family, (frames, rows, columns), settings)
    )


def empty_arguments(
    family: VideoTransformer, size: tuple[int, int, int], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a forward whose tensors have no values, wherever tensors are made."""
    tokens, width = family.text_shape()
    latents = torch.empty(1, family.latent_channels, *size)
    text = TextTokens(torch.empty(tokens, width), tokens, torch.ones(tokens, dtype=torch.bool), torch.empty(768))
    level = NoiseLevel(timestep=0, signal=1.0, amount=0.0, told=0)
    return family.arguments(latents, level, (text,), settings)


def token_grid(family: VideoTransformer, size: Iterable[int]) -> tuple[int, int, int]:
    """(maps, rows, columns) of a tap, of latents of (frames, height, width)."""
    frames, height, width = (-(-n // p) for n, p in zip(size, family.strides.patch, strict=True))
    return frames, height, width


def token_spans(family: VideoTransformer, latents: Spans) -> Spans:
    """The frames of each token, from those of each latent frame."""
    step = family.strides.patch[0]
    return tuple((latents[i][0], latents[min(i + step, len(latents)) - 1][1]) for i in range(0, len(latents), step))


def token_maps(
    family: VideoTransformer, tap: str, value: Any, grid: tuple[int, int, int]
) -> Float[Tensor, "E n _ r c"]:
    """What a module gave as one feature map for each latent frame. Raises `FeatureError` for anything else."""
    tokens = first_of(value)
    places = grid[0] * grid[1] * grid[2]
    if kind_of(tap) != "output" and isinstance(tokens, Tensor) and tokens.ndim == 4:
        if (head := head_of(tap)) is not None:
            tokens = tokens[:, head : head + 1]
        tokens = joined_heads(tokens)
        tokens = tokens[:, -places:] if family.text == "first" else tokens[:, :places]
    if not isinstance(tokens, Tensor) or tokens.ndim != 3 or tokens.shape[1] != places:
        shape = tuple(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__
        raise FeatureError(
            f"tap '{tap}' yields {shape}, which is no map over {grid[0]} latent frames and {grid[1]}x{grid[2]} places; "
            "tap the block around it"
        )
    return tokens.unflatten(1, grid).permute(0, 1, 4, 2, 3)
