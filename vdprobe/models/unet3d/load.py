"""The UNet of a pipeline: laid out, cut after the last tap, filled; and whether tokens fit it."""

from collections.abc import Sequence

import torch
from diffusers import UNet3DConditionModel

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.networks.empty_networks import lay_out
from vdprobe.models.networks.weights import load_into, randomise
from vdprobe.models.unet3d.network import TappedUNet3D
from vdprobe.models.unet3d.taps import module_path
from vdprobe.specs.features import Condition

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
    seed = pipeline.seed("unet")
    if seed is not None:
        randomise(tapped.unet, seed, dtype, device)
    else:
        load_into(tapped.unet, pipeline.weight_files("unet"), dtype, device)
    return tapped.eval().requires_grad_(False)


def check_class(pipeline: Pipeline, what: str, instead: str) -> None:
    """Raises `ModelError` for `what` of a model of another family: what can be done `instead` is told."""
    if pipeline.denoiser_class != "UNet3DConditionModel":
        raise ModelError(
            f"{what} knows models with a UNet3DConditionModel, and the denoiser of '{pipeline.name}' is a "
            f"{pipeline.denoiser_class}: {instead}"
        )


def check_widths(pipeline: Pipeline, conditions: Sequence[Condition], adapters: Sequence[Adapter]) -> None:
    """Raises `ModelError` where tokens would not fit the UNet's cross-attention."""
    unet = pipeline.config("unet")
    width = unet["cross_attention_dim"]
    if any(c.uses_text for c in conditions):
        _fit(
            "text tokens", pipeline.config("text_encoder")["hidden_size"], width, "take the text encoder of this model"
        )
    for condition in conditions:
        if not condition.uses_image:
            continue
        image = pipeline.config("image_encoder")
        if condition.form == "raw":
            remedy = "give an --adapter, or an image encoder whose projection_dim fits"
            _fit("image tokens after CLIP's own projection", image["projection_dim"], width, remedy)
    for adapter in adapters:
        if adapter.image_projection is not None and any(c.uses_image for c in conditions):
            into = adapter.image_projection.linear1
            tokens = pipeline.config("image_encoder")["hidden_size"]
            remedy = "the adapter was trained for another image encoder or model"
            _fit("the adapter's input", into.in_features, tokens, remedy, "the image encoder's")
            _fit("the adapter's output", into.out_features, width, remedy)
        if adapter.noise_predictor is not None:
            channels = adapter.noise_predictor.conv.in_channels
            _fit("latent channels of the adapter", channels, unet["in_channels"], "it was trained for another model")


def _fit(what: str, have: int, need: int, remedy: str, whose: str = "the UNet's") -> None:
    if have != need:
        raise ModelError(f"{what} have width {have}, {whose} is {need}: {remedy}")
