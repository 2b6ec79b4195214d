"""Every tap of a video UNet with its shape, bytes and cost: no weights are read."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.frame_vae import vae_shapes
from vdprobe.models.diffusion.vae_taps import LATENTS, split_taps
from vdprobe.models.networks.tapped import run_tapped, traced
from vdprobe.models.unet.denoiser import check_taps, empty_arguments, make_network, tap_points
from vdprobe.models.unet.facts import LATENT_STRIDE, UNetFacts
from vdprobe.models.unet.maps import frame_maps, level_sizes
from vdprobe.models.unet.taps import block_taps, module_path
from vdprobe.specs.layer import Layer, Shape


def tap_shapes(family: UNetFacts, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
    """(frame, channel, height, width) of each tap."""
    vae_taps, own = split_taps(taps)
    found: dict[str, Shape] = {}
    if vae_taps:
        found |= vae_shapes(family.pipeline, vae_taps, frames=frames, height=height, width=width)
    if not own:
        return found
    points = tap_points(family, own)
    size = frames, height // LATENT_STRIDE, width // LATENT_STRIDE
    sizes = level_sizes(size[1:], family.blocks)

    def shapes(network: nn.Module) -> dict[str, Shape]:
        check_taps(network, points)
        caught = run_tapped(network, points, empty_arguments(family, size, family.defaults))
        maps = {
            tap: frame_maps(tap, points[tap], value, batch=1, frames=frames, sizes=sizes)
            for tap, value in caught.items()
        }
        return {tap: tuple(value.shape[1:]) for tap, value in maps.items()}  # type: ignore[misc]

    made = traced(lambda: make_network(family), shapes)
    if made is None:
        raise ModelError(
            f"the UNet of model '{family.pipeline.name}' cannot be laid out from its configuration: is it complete?"
        )
    return found | made


def describe_layers(family: UNetFacts, *, frames: int, height: int, width: int, every_step: bool) -> list[Layer]:
    """The VAE's taps, then every block, with the share of the work that is done when it is reached."""
    levels = len(family.pipeline.config("vae")["block_out_channels"])
    vae_taps = [*(f"vae.down.{i}" for i in range(levels)), LATENTS]
    taps = block_taps(family.blocks, family.stem)
    size = frames, height // LATENT_STRIDE, width // LATENT_STRIDE

    def work(network: nn.Module) -> dict[str, float]:
        names = _with_attentions(network, taps, family) if every_step else taps
        counter = FlopCounterMode(display=False)
        after: dict[str, int] = {}
        for name in names:
            network.get_submodule(module_path(name, family.blocks, family.stem)).register_forward_hook(
                lambda *_, name=name: after.__setitem__(name, counter.get_total_flops())
            )
        with counter, torch.no_grad():
            network(**empty_arguments(family, size, family.defaults))
        return {name: flops / counter.get_total_flops() for name, flops in after.items()}

    done = traced(lambda: make_network(family), work) or dict.fromkeys(taps)
    shapes = tap_shapes(family, [*vae_taps, *done], frames=frames, height=height, width=width)
    return [Layer.of(tap, shapes[tap], round(height / shapes[tap][2]), done.get(tap)) for tap in (*vae_taps, *done)]


def _with_attentions(network: nn.Module, taps: Sequence[str], family: UNetFacts) -> list[str]:
    """Taps, and before each block the queries and keys of its spatial attentions."""
    names: list[str] = []
    for tap in taps:
        block = network.get_submodule(module_path(tap, family.blocks, family.stem))
        count = len(getattr(block, "attentions", None) or ())
        names += [f"{tap}.{j}.{kind}" for j in range(count) for kind in ("q", "k")]
        names.append(tap)
    return names
