"""Every tap of a video transformer with its shape, bytes and cost: no weights are read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.vae_taps import LATENTS, split_taps
from vdprobe.models.networks.tapped import check_points, run_tapped, traced
from vdprobe.models.transformer.denoiser import (
    empty_arguments,
    make_network,
    tap_points,
    token_grid,
    token_maps,
    token_spans,
)
from vdprobe.models.transformer.facts import TransformerFacts
from vdprobe.specs.layer import Layer, Shape
from vdprobe.specs.spans import group_spans

if TYPE_CHECKING:
    from torch import Tensor


def latent_size(family: TransformerFacts, frames: int, height: int, width: int) -> tuple[int, int, int]:
    """(frames, height, width) of the latents of a clip, its frames padded to whole groups."""
    strides = family.strides
    return len(group_spans(frames, strides.group)), height // strides.side, width // strides.side


def tap_shapes(
    family: TransformerFacts, taps: Sequence[str], *, frames: int, height: int, width: int
) -> dict[str, Shape]:
    """(map, channel, height, width) of each tap."""
    size = latent_size(family, frames, height, width)
    found: dict[str, Shape] = {}
    if LATENTS in taps:
        found[LATENTS] = (size[0], family.latent_channels, size[1], size[2])
    own = split_taps(taps)[1]
    points = tap_points(family, own)

    def shapes(network: nn.Module) -> dict[str, Shape]:
        check_points(network, points)
        caught = run_tapped(network, points, empty_arguments(family, size, family.defaults))
        maps: dict[str, Tensor] = {
            tap: token_maps(family, tap, value, token_grid(family, size)) for tap, value in caught.items()
        }
        return {tap: tuple(value.shape[1:]) for tap, value in maps.items()}  # type: ignore[misc]

    if own:
        made = traced(lambda: make_network(family), shapes)
        if made is None:
            raise ModelError(f"the shapes of model '{family.pipeline.name}' cannot be told without its weights")
        found |= made
    return found


def describe_layers(family: TransformerFacts, *, frames: int, height: int, width: int, every_step: bool) -> list[Layer]:
    """The latents, then every block, with the share of the work that is done when it is reached."""
    names = [f"blocks.{i}" for i in range(family.blocks.count)]
    if every_step:
        names = [name for block in names for name in (f"{block}.q", f"{block}.k", block)]
    shapes = tap_shapes(family, [LATENTS, *names], frames=frames, height=height, width=width)
    size = latent_size(family, frames, height, width)

    def work(network: nn.Module) -> dict[str, float]:
        counter = FlopCounterMode(display=False)
        after: dict[str, int] = {}
        for name in names:
            network.get_submodule(family.blocks.module(name)).register_forward_hook(
                lambda *_, name=name: after.__setitem__(name, counter.get_total_flops())
            )
        with counter, torch.no_grad():
            network(**empty_arguments(family, size, family.defaults))
        return {name: flops / counter.get_total_flops() for name, flops in after.items()}

    done = traced(lambda: make_network(family), work) or {}
    latents = group_spans(frames, family.strides.group)
    return [
        Layer.of(LATENTS, shapes[LATENTS], family.strides.side, spans=latents),
        *(
            Layer.of(name, shapes[name], family.strides.place, done.get(name), token_spans(family, latents))
            for name in names
        ),
    ]
