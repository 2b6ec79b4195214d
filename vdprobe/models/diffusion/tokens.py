"""What encoders make of a text and of frames, for the denoiser to look at.

Shape letters: F frames, f latent frames, C channels, H W height and width, L text tokens, N image tokens, D text width,
V image width, P projected width.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class TextTokens:
    """Hidden states of one text, and how many tokens it had before it was cut to fit.

    - `mask`: which tokens the denoiser looks at, None for all of them. `pooled`: one vector of the whole text, for the
      families that want one beside. `second`: those of a second encoder. `facts`: what else of the text is not seen.
    """

    hidden: Float[Tensor, "L D"]
    count: int
    mask: Bool[Tensor, " L"] | None = None
    pooled: Float[Tensor, " P"] | None = None
    second: "TextTokens | None" = None
    facts: tuple[str, ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether the end of the text was lost."""
        return self.count > len(self.hidden)


@dataclass(frozen=True)
class ImageTokens:
    """Both uses of a frame's CLIP tokens.

    - `hidden`: last hidden state, no norm, no projection: the input of the adapter.
    - `projected`: through CLIP's own post layer norm and visual projection: needs nothing trained.
    - `latents`: of the frame, for the denoisers that get them beside the noisy ones.
    """

    hidden: Float[Tensor, "F N V"]
    projected: Float[Tensor, "F N P"]
    latents: Float[Tensor, "C h w"] | None = None


@dataclass(frozen=True)
class EncodedFrames:
    """What the VAE gives for a clip.

    - `taps`: tap to feature map; `mean`, `std`: the posterior, before scaling, None
      when only taps were asked for.
    """

    taps: dict[str, Float[Tensor, "f _ _ _"]]
    mean: Float[Tensor, "f C H W"] | None
    std: Float[Tensor, "f C H W"] | None
