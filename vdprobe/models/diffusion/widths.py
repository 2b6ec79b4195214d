"""Whether tokens, adapters and latents fit a denoiser."""

from collections.abc import Sequence

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.specs.features import Condition


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
    check_noise_predictors(adapters, unet["in_channels"], pipeline.name)


def check_noise_predictors(adapters: Sequence[Adapter], channels: int, name: str) -> None:
    """Raises `ModelError` for a noise predictor of other latents than those of model `name`."""
    for adapter in adapters:
        if adapter.noise_predictor is not None:
            own = adapter.noise_predictor.conv.in_channels
            _fit(
                "latent channels of the adapter", own, channels, "it was trained for another model", f"that of '{name}'"
            )


def _fit(what: str, have: int, need: int, remedy: str, whose: str = "the UNet's") -> None:
    if have != need:
        raise ModelError(f"{what} have width {have}, {whose} is {need}: {remedy}")
