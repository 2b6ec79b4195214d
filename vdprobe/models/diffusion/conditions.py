"""What the cross-attention sees in each frame: image tokens, text tokens, or text attending to the image.

Shape letters: F frames, L text tokens, N image tokens, D cross-attention width, V image width.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.tokens import ImageTokens
from vdprobe.specs.features import Condition


def make_condition(
    condition: Condition,
    frames: int,
    text: Float[Tensor, "L D"] | None,
    image: ImageTokens | None,
    adapter: Adapter | None,
) -> Float[Tensor, "F M D"]:
    """The tokens of each of `frames` frames; M is L for vd-t and vd-it, N for vd-i, L + N for concat.

    - `text`: the text encoder's final hidden state, for conditions that use text.
    - `image`: for conditions that use the image.
    """
    trained = adapter if condition.form == "adapter" else None
    per_frame = None if text is None else text.expand(frames, -1, -1)
    match condition.kind:
        case "vd-t":
            assert per_frame is not None
            return trained.text_projection(per_frame) if trained and trained.text_projection else per_frame
        case "vd-i":
            assert image is not None
            return _image_tokens(image, trained)
        case "vd-it":
            assert per_frame is not None and image is not None and trained and trained.text_image_attention
            return trained.text_image_attention(per_frame, _image_tokens(image, trained))
        case "concat":
            assert per_frame is not None and image is not None
            return torch.cat([per_frame, _image_tokens(image, trained)], dim=1)


def _image_tokens(image: ImageTokens, trained: Adapter | None) -> Tensor:
    return trained.image_projection(image.hidden) if trained and trained.image_projection else image.projected
