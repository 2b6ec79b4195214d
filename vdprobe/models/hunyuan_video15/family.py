"""HunyuanVideo 1.5 (Tencent 2025), 8B: blocks with two streams, over latents of 16 x 16 pixels.

Facts from diffusers' `pipeline_hunyuan_video1_5.py`, `transformer_hunyuan_video15.py` and
`autoencoder_kl_hunyuanvideo15.py`. Beside the noisy latents it takes those of given frames with their mask, and tokens
of an image; without any it makes videos of text alone. Texts come without padding, so that its masks are full wherever
the texts of a forward are of one length.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vdprobe.errors import ModelError
from vdprobe.models.transformer.facts import Strides
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.specs.noise_level import NoiseLevel

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vdprobe.models.diffusion.parts_loaded import TextReader
    from vdprobe.models.diffusion.tokens import TextTokens

TEXT_LENGTH = 1000


class HunyuanVideo15(VideoTransformer):
    """HunyuanVideo 1.5 as text-to-video."""

    network_class: ClassVar[str] = "HunyuanVideo15Transformer3DModel"
    vae_class: ClassVar[str] = "AutoencoderKLHunyuanVideo15"
    text_parts: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    self_attention: ClassVar[str] = "attn"
    text: ClassVar[Literal["none", "first", "last"]] = "last"

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the transformer. Raises `ModelError` for one that is told two times."""
        config = super().config
        if config.get("use_meanflow"):
            raise ModelError(
                f"model '{self.pipeline.name}' is distilled to jump between two noise levels (use_meanflow), which a "
                "feature is not of; take HunyuanVideo 1.5 as it was before"
            )
        return config

    @property
    def latent_channels(self) -> int:
        """Half of what it takes, less the mask: the other half is for given frames."""
        return (int(self.config["in_channels"]) - 1) // 2

    @property
    def strides(self) -> Strides:
        """Groups of 4 frames, 16 pixels a latent, a token a latent."""
        config, vae = self.config, self.pipeline.config("vae")
        return Strides(
            group=vae.get("temporal_compression_ratio", 4),
            side=vae.get("spatial_compression_ratio", 16),
            patch=(config.get("patch_size_t", 1), config.get("patch_size", 1), config.get("patch_size", 1)),
        )

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """Two thirds of the depth, where WALT's probes (ICCV 2025) are best; nobody has published features of it."""
        return {"default": (f"blocks.{2 * self.blocks.count // 3}",)}

    def text_shape(self) -> tuple[int, int]:
        """1000 tokens of Qwen 2.5 VL at most."""
        return TEXT_LENGTH, self.config["text_embed_dim"]

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """Qwen 2.5 VL and ByT5."""
        from vdprobe.models.hunyuan_video15.text import HunyuanText15

        return HunyuanText15.load(self.pipeline, dtype, device)

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """No given frame and no token of an image; `timestep` is 1000 s, in the precision of the network."""
        import torch

        config = self.config
        nothing = latents.new_zeros(0, config["text_embed_2_dim"])
        hidden, mask = side_by_side([text.hidden.to(latents) for text in texts])
        written, mask_2 = side_by_side([text.second.hidden.to(latents) if text.second else nothing for text in texts])
        return {
            "hidden_states": torch.cat([latents, torch.zeros_like(latents), torch.zeros_like(latents[:, :1])], 1),
            "timestep": latents.new_full((len(latents),), float(level.told)),
            "encoder_hidden_states": hidden,
            "encoder_attention_mask": mask,
            "encoder_hidden_states_2": written,
            "encoder_attention_mask_2": mask_2,
            "image_embeds": latents.new_zeros(len(latents), 0, config["image_embed_dim"]),
            "return_dict": False,
        }


def side_by_side(texts: Sequence["Tensor"]) -> tuple["Tensor", "Tensor"]:
    """Texts (L D) filled with zeros to the length of the longest, and which of their tokens are theirs."""
    import torch

    masks = [text.new_ones(len(text), dtype=torch.bool) for text in texts]
    hidden, mask = (torch.nn.utils.rnn.pad_sequence(rows, batch_first=True) for rows in (list(texts), masks))
    return hidden, mask
