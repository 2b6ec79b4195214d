"""Every tap of a model with its shape, bytes and cost, on the meta device: no weights are read."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from vdprobe.models.diffusion.frame_vae import vae_shapes
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.vae_taps import LATENTS
from vdprobe.models.networks.empty_networks import lay_out
from vdprobe.models.unet3d.load import LATENT_STRIDE, load_unet
from vdprobe.models.unet3d.network import TappedUNet3D, program
from vdprobe.models.unet3d.taps import canonical_tap, module_path
from vdprobe.specs.layer import Layer, Shape

META = torch.device("meta")


def describe_layers(
    pipeline: Pipeline, *, frames: int, height: int, width: int, every_step: bool = False
) -> list[Layer]:
    """The VAE's taps, then the UNet's in order of computation.

    - `height`, `width`: of the padded frames, in pixels.
    - `every_step`: also the layers inside the blocks.
    """
    unet = load_unet(pipeline, ["unet.out"], torch.float32, META, weights=False)
    steps = program(unet.unet)
    names = {s.path: s.path for s in steps if every_step or s.path in ("transformer_in", "conv_out")}
    names |= {s.closes: s.path for s in steps if s.closes}
    order = [s.path for s in steps]
    paths = sorted(names, key=lambda path: order.index(names[path]))
    taps = [canonical_tap(f"unet.{path}") for path in paths]
    shapes = unet_shapes(pipeline, taps, frames=frames, height=height, width=width)
    done = _work_done(unet, frames, height, width)
    vae_taps = [f"vae.down.{i}" for i in range(len(pipeline.config("vae")["block_out_channels"]))] + [LATENTS]
    layers = [
        _layer(tap, shape, height, None)
        for tap, shape in vae_shapes(pipeline, vae_taps, frames=frames, height=height, width=width).items()
    ]
    return layers + [_layer(tap, shapes[tap], height, done[names[path]]) for tap, path in zip(taps, paths, strict=True)]


def unet_shapes(pipeline: Pipeline, taps: list[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
    """(frame, channel, height, width) of UNet taps."""
    unet = load_unet(pipeline, taps, torch.float32, META, weights=False)
    inputs = _inputs(unet, frames, height, width)
    out = lay_out(lambda: unet(*inputs), f"part 'unet' of model '{pipeline.name}'")
    return {tap: tuple(out[module_path(tap).removeprefix("unet.")].shape[1:]) for tap in taps}


def _layer(tap: str, shape: Shape, height: int, reached: float | None) -> Layer:
    return Layer.of(tap, shape, round(height / shape[2]), reached)


def _inputs(
    unet: TappedUNet3D, frames: int, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    config = unet.unet.config
    latents = torch.empty(1, config.in_channels, frames, height // LATENT_STRIDE, width // LATENT_STRIDE, device=META)
    tokens = torch.empty(1, frames, 77, config.cross_attention_dim, device=META)
    return latents, torch.zeros((), dtype=torch.int64, device=META), tokens


def _work_done(unet: TappedUNet3D, frames: int, height: int, width: int) -> dict[str, float]:
    """Step path to the share of all work done after it."""
    counter = FlopCounterMode(display=False)
    after: dict[str, int] = {}
    handles = [
        unet.unet.get_submodule(step.path).register_forward_hook(
            lambda *_, path=step.path: after.__setitem__(path, counter.get_total_flops())
        )
        for step in unet.steps
    ]
    with counter:
        unet(*_inputs(unet, frames, height, width))
    for handle in handles:
        handle.remove()
    total = counter.get_total_flops()
    share, last = {}, 0
    for step in unet.steps:
        last = after.get(step.path, last)  # skipped on a single frame
        share[step.path] = last / total
    return share
