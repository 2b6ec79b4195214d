"""Mochi 1 (Genmo 2024): joint attention of text and video of two widths, and time that runs from noise to data.

Facts from diffusers' `pipeline_mochi.py`, `transformer_mochi.py` and `autoencoder_kl_mochi.py`. Texts are 256 tokens of
T5, whose padding neither T5 nor the transformer looks at; an empty text is one token, as the pipeline has it unless
told otherwise (Genmo's own code then looks at none). Text comes last in queries and keys; a block gives (video,
text). The network is told 1000 (1 - s) and gives the velocity towards the data. Its attention goes through the texts of
a batch one by one, as each has a length of its own.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.process import Flow
from vdprobe.models.transformer.facts import Strides
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.models.transformer.part_config import completed
from vdprobe.models.transformer.t5_config import T5_TINY, T5_XXL
from vdprobe.specs.noise_level import NoiseLevel

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vdprobe.models.diffusion.parts_loaded import TextReader
    from vdprobe.models.diffusion.tokens import TextTokens

DEFAULTS: dict[str, Any] = {
    "patch_size": 2,
    "num_attention_heads": 24,
    "num_layers": 48,
    "in_channels": 12,
    "text_embed_dim": 4096,
    "max_sequence_length": 256,
}
VAE_DEFAULTS: dict[str, Any] = {"temporal_expansions": (1, 2, 3), "spatial_expansions": (2, 2, 2)}
"""What diffusers takes where a configuration of the transformer, or of the VAE, says nothing."""


class Mochi(VideoTransformer):
    """Mochi 1 T2V, 10B."""

    network_class: ClassVar[str] = "MochiTransformer3DModel"
    vae_class: ClassVar[str] = "AutoencoderKLMochi"
    text: ClassVar[Literal["none", "first", "last"]] = "last"
    batched: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Raises `ModelError` for a scheduler of another direction, under which clean would be told as noise."""
        if self.process() != Flow(inverted=True):
            raise ModelError(
                f"model '{self.pipeline.name}': Mochi is told 1000 (1 - s), and the scheduler of its folder is not a "
                'flow with "invert_sigmas": true; take the scheduler that the checkpoint was published with'
            )

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the transformer, with diffusers' defaults."""
        return completed(self.pipeline, self.pipeline.denoiser, DEFAULTS)

    @property
    def strides(self) -> Strides:
        """Groups of 6 frames, 8 pixels a latent, patches of 1 x 2 x 2."""
        vae, side = completed(self.pipeline, "vae", VAE_DEFAULTS), self.config["patch_size"]
        return Strides(math.prod(vae["temporal_expansions"]), math.prod(vae["spatial_expansions"]), (1, side, side))

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """The block at two thirds of the depth, where WALT's probes read best (ICCV 2025): none is known of Mochi."""
        return {"default": (f"blocks.{2 * self.blocks.count // 3 - 1}",)}

    def text_shape(self) -> tuple[int, int]:
        """256 tokens of T5."""
        return self.config["max_sequence_length"], self.config["text_embed_dim"]

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """T5, padding masked for it and for the transformer."""
        from vdprobe.models.transformer.t5 import T5Reader

        return T5Reader.load(self.pipeline, "T5EncoderModel", self.text_shape()[0], "masked-twice", dtype, device)

    def prepare_network(self, network: "nn.Module") -> None:
        """Takes the autocast out of the positions, which warns on a CPU and is unknown to tensors without values."""
        network.rope._create_rope = rotary_positions  # type: ignore[union-attr]

    def normalise(self, vae: "nn.Module", latents: "Tensor") -> "Tensor":
        """(z - mean) scale / std of each channel."""
        config: Any = vae.config
        mean, std = (latents.new_tensor(values)[:, None, None] for values in (config.latents_mean, config.latents_std))
        return (latents - mean) * config.scaling_factor / std

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """`timestep` is 1000 (1 - s), in float32."""
        import torch

        masks = [text.mask for text in texts if text.mask is not None]
        return {
            "hidden_states": latents,
            "timestep": torch.full((len(latents),), float(level.told), device=latents.device),
            "encoder_hidden_states": torch.stack([text.hidden for text in texts]).to(latents),
            "encoder_attention_mask": torch.stack(masks).to(latents.device),
            "return_dict": False,
        }

    def output(self, value: "Tensor", size: Sequence[int]) -> "Tensor":
        """The velocity towards the noise: the network gives the one towards the data."""
        return -value


def rotary_positions(frequencies: "Tensor", places: "Tensor") -> tuple["Tensor", "Tensor"]:
    """Cosines and sines of places (N 3) for frequencies (3 heads d), in float32 as in diffusers."""
    import torch

    angles = torch.einsum("nd,dhf->nhf", places.float(), frequencies.float())
    return angles.cos(), angles.sin()


_TRANSFORMER = {"_class_name": "MochiTransformer3DModel"}
_VAE = {"_class_name": "AutoencoderKLMochi", "scaling_factor": 1.0}
_SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": True}
TINY: dict[str, dict[str, Any]] = {
    "transformer": _TRANSFORMER
    | {
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 4,
        "pooled_projection_dim": 16,
        "text_embed_dim": 16,
        "time_embed_dim": 16,
    },
    "vae": _VAE
    | {
        "encoder_block_out_channels": [32, 32, 32, 32],
        "decoder_block_out_channels": [32, 32, 32, 32],
        "layers_per_block": [1, 1, 1, 1, 1],
    },
    "text_encoder": T5_TINY,
    "scheduler": _SCHEDULER,
}
"""`random:tiny-mochi`: the shape of Mochi 1 at a width that runs anywhere."""
PREVIEW: dict[str, dict[str, Any]] = {
    "transformer": _TRANSFORMER,
    "vae": _VAE,
    "text_encoder": T5_XXL,
    "scheduler": _SCHEDULER,
}
"""genmo/mochi-1-preview."""
