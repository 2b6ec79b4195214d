"""Wan 2.1 and 2.2 (Wan team 2025): text-to-video transformers behind a causal VAE.

Facts from diffusers' `pipeline_wan.py`, `transformer_wan.py` and `autoencoder_kl_wan.py`. Texts are always 512 tokens
of UMT5, zeros after the last one, and no mask: padding counts. Latents are standardised by the numbers in the VAE's
configuration.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from vdprobe.models.transformer.facts import Strides
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.models.transformer.taps import BlockNames
from vdprobe.specs.noise_level import NoiseLevel

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vdprobe.models.diffusion.parts_loaded import TextReader
    from vdprobe.models.diffusion.tokens import TextTokens

TEXT_LENGTH = 512


class Wan(VideoTransformer):
    """Wan 2.1 T2V (1.3B, 14B) and 2.2 TI2V (5B)."""

    network_class: ClassVar[str] = "WanTransformer3DModel"
    vae_class: ClassVar[str] = "AutoencoderKLWan"

    @property
    def blocks(self) -> BlockNames:
        """`blocks`, whose self-attention is `attn1`."""
        config = self.config
        return BlockNames((("blocks", config["num_layers"]),), ("attn1",), config["num_attention_heads"])

    @property
    def strides(self) -> Strides:
        """Groups of 4 frames, 8 (2.2 5B: 16) pixels a latent, patches of 1 x 2 x 2."""
        vae = self.pipeline.config("vae")
        frames, rows, columns = self.config["patch_size"]
        return Strides(vae.get("scale_factor_temporal", 4), vae.get("scale_factor_spatial", 8), (frames, rows, columns))

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """The middle block: VidFM3D (CVPR 2026) reads block 20 of the 14B's 40."""
        return {"default": (f"blocks.{self.blocks.count // 2}",)}

    def text_shape(self) -> tuple[int, int]:
        """512 tokens of UMT5."""
        return TEXT_LENGTH, self.config["text_dim"]

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """UMT5, zeros for padding."""
        from vdprobe.models.transformer.t5 import T5Reader

        return T5Reader.load(self.pipeline, "UMT5EncoderModel", TEXT_LENGTH, "zeros", dtype, device)

    def normalise(self, vae: "nn.Module", latents: "Tensor") -> "Tensor":
        """(z - mean) / std of each channel."""
        config: Any = vae.config
        mean, std = (latents.new_tensor(values)[:, None, None] for values in (config.latents_mean, config.latents_std))
        return (latents - mean) / std

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """`timestep` is 1000 s, in float32."""
        import torch

        return {
            "hidden_states": latents,
            "timestep": torch.full((len(latents),), float(level.told), device=latents.device),
            "encoder_hidden_states": torch.stack([text.hidden for text in texts]).to(latents),
            "return_dict": False,
        }


TINY: dict[str, dict[str, Any]] = {
    "transformer": {
        "_class_name": "WanTransformer3DModel",
        "patch_size": [1, 2, 2],
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": 16,
        "out_channels": 16,
        "text_dim": 16,
        "freq_dim": 32,
        "ffn_dim": 32,
        "num_layers": 4,
        "cross_attn_norm": True,
        "rope_max_seq_len": 64,
    },
    "vae": {
        "_class_name": "AutoencoderKLWan",
        "base_dim": 4,
        "z_dim": 16,
        "num_res_blocks": 1,
    },
    "text_encoder": {
        "vocab_size": 384,
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 2,
        "num_heads": 2,
    },
    "scheduler": {
        "_class_name": "UniPCMultistepScheduler",
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
        "flow_shift": 3.0,
    },
}
"""`random:tiny-wan`: the shape of Wan 2.1 at a width that runs anywhere."""
