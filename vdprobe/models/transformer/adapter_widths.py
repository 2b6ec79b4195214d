"""Whether an adapter fits a video transformer: at the width behind its projection of captions."""

from collections.abc import Sequence

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.transformer.facts import TransformerFacts
from vdprobe.specs.features import Condition


def check_widths(family: TransformerFacts, conditions: Sequence[Condition], adapter: Adapter) -> None:
    """Raises `ModelError` where latents, image tokens or a text would not fit."""
    name = family.pipeline.name
    fits: list[tuple[str, int, str, int]] = []
    if (predictor := adapter.noise_predictor) is not None:
        fits.append(
            ("latent channels of the adapter", predictor.conv.in_channels, "the model's", family.latent_channels)
        )
    trained = [condition for condition in conditions if condition.form == "adapter"]
    if any(condition.uses_image for condition in trained) and (image := adapter.image_projection) is not None:
        tokens = family.pipeline.config("image_encoder")["hidden_size"]
        fits.append(("the adapter's input", image.linear1.in_features, "the image encoder's", tokens))
        fits.append(("the adapter's output", image.linear1.out_features, "the cross-attention's", family.token_width))
    for kind, part in (("vd-it", adapter.text_image_attention), ("vd-t", adapter.text_projection)):
        if part is not None and any(condition.kind == kind for condition in trained):
            width = part.linear1.in_features
            fits.append((f"text tokens of the adapter ({kind})", width, "the cross-attention's", family.token_width))
    for what, have, whose, need in fits:
        if have != need:
            raise ModelError(
                f"{what} have width {have}, {whose} is {need}: the adapter was trained for another model or image "
                f"encoder than '{name}'; train one for it, or give --adapter random:0 for an untrained control"
            )
