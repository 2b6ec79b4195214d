"""The UNet of a pipeline: laid out, cut after the last tap, and filled."""

from collections.abc import Sequence

import torch
from diffusers import UNet3DConditionModel

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.networks.empty_networks import lay_out
from vdprobe.models.networks.weights import fill
from vdprobe.models.unet3d.network import TappedUNet3D
from vdprobe.models.unet3d.taps import module_path

LATENT_STRIDE = 8
"""Pixels per latent."""


def load_unet(
    pipeline: Pipeline, taps: Sequence[str], dtype: torch.dtype, device: torch.device, *, weights: bool = True
) -> TappedUNet3D:
    """The UNet up to the last of `taps` (`unet.` paths); later weights are never read.

    Without `weights` it stays on the meta device, for shapes and costs.
    """
    config = pipeline.config("unet")
    what = f"part 'unet' of model '{pipeline.name}'"
    unet = lay_out(lambda: UNet3DConditionModel.from_config(config), what)
    tapped = TappedUNet3D(unet, [module_path(tap).removeprefix("unet.") for tap in taps])
    if not weights:
        return tapped.eval().to(dtype)
    fill(tapped.unet, pipeline.seed("unet"), lambda: pipeline.weight_files("unet"), dtype, device)
    return tapped.eval().requires_grad_(False)


def check_class(
    pipeline: Pipeline, what: str, instead: str, *, classes: Sequence[str] = ("UNet3DConditionModel",)
) -> None:
    """Raises `ModelError` for `what` of a model of another family: what can be done `instead` is told.

    - `classes`: those of the denoisers that `what` knows.
    """
    if pipeline.denoiser_class not in classes:
        raise ModelError(
            f"{what} knows models with a {' or '.join(classes)}, and the denoiser of '{pipeline.name}' is a "
            f"{pipeline.denoiser_class}: {instead}"
        )
