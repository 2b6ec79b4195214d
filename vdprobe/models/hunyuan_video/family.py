"""HunyuanVideo (Tencent 2024), 13B: blocks with two streams, then blocks with one, text behind the video in both.

Facts from diffusers' `pipeline_hunyuan_video.py`, `transformer_hunyuan_video.py` and `autoencoder_kl_hunyuan_video.py`.
The published model is distilled from guidance, whose scale it is told. Its VAE encodes some frames at a time and blends
them. It is called causal, but its group normalisation is over all frames that it encodes at once.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.transformer.facts import Strides
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.models.transformer.taps import BlockNames
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vdprobe.models.diffusion.parts_loaded import TextReader
    from vdprobe.models.diffusion.tokens import TextTokens

TEXT_LENGTH = 256
DIFFTRACK_BLOCK = 16


class HunyuanVideo(VideoTransformer):
    """HunyuanVideo as text-to-video."""

    network_class: ClassVar[str] = "HunyuanVideoTransformer3DModel"
    vae_class: ClassVar[str] = "AutoencoderKLHunyuanVideo"
    text_parts: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    text: ClassVar[Literal["none", "first", "last"]] = "last"
    causal: ClassVar[bool] = False

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The guidance that the pipeline tells it, where it is told one, and how its VAE cuts a clip.

        - `vae_tile`, `vae_step`: it encodes the first latent frame and `vae_tile` ones after it, starts again after
          `vae_step`, and blends those that it has twice; 0 for the whole clip at once.
        """
        guidance = {"guidance": 6.0} if self.config.get("guidance_embeds", True) else {}
        return {**guidance, "vae_tile": 4, "vae_step": 3}

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the transformer. Raises `ModelError` for one that takes an image."""
        config = super().config
        if kind := config.get("image_condition_type"):
            raise ModelError(
                f"model '{self.pipeline.name}' makes videos of an image (image_condition_type {kind}), and its text "
                "encoder must see it; take HunyuanVideo, which makes them of text alone"
            )
        return config

    @property
    def blocks(self) -> BlockNames:
        """`transformer_blocks` and then `single_transformer_blocks`, counted through; their attention is `attn`."""
        config = self.config
        lists = (
            ("transformer_blocks", config["num_layers"]),
            ("single_transformer_blocks", config["num_single_layers"]),
        )
        return BlockNames(lists, ("attn", "attn"), config["num_attention_heads"])

    @property
    def strides(self) -> Strides:
        """Groups of 4 frames, 8 pixels a latent, patches of 1 x 2 x 2."""
        config, vae = self.config, self.pipeline.config("vae")
        return Strides(
            group=vae.get("temporal_compression_ratio", 4),
            side=vae.get("spatial_compression_ratio", 8),
            patch=(config.get("patch_size_t", 1), config.get("patch_size", 2), config.get("patch_size", 2)),
        )

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """Block 16, whose queries and keys DiffTrack matches points by; the middle of networks too small for it."""
        block = DIFFTRACK_BLOCK if self.blocks.count > DIFFTRACK_BLOCK else self.blocks.count // 2
        return {"default": (f"blocks.{block}",), "difftrack": (f"blocks.{block}.q", f"blocks.{block}.k")}

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """With guidance that is a number, and parts of a clip that follow each other without a gap."""
        settings = super().settings(request)
        if "guidance" in settings and not (isfinite(settings["guidance"]) and settings["guidance"] >= 0):
            raise ConfigError(f"settings.guidance (={settings['guidance']}) must be a number from 0 on, such as 6")
        tile, step = settings["vae_tile"], settings["vae_step"]
        if tile < 0:
            raise ConfigError(f"settings.vae_tile (={tile}) must be 0 for a whole clip at once, or latent frames")
        if tile and not 1 <= step <= tile:
            raise ConfigError(f"settings.vae_step (={step}) must be from 1 to settings.vae_tile (={tile})")
        return settings

    def prepare_vae(self, vae: "nn.Module", settings: Mapping[str, Any]) -> None:
        """How it cuts a clip; frames are never cut into parts."""
        network: Any = vae
        network.use_tiling = False
        network.use_framewise_encoding = settings["vae_tile"] > 0
        network.tile_sample_min_num_frames = settings["vae_tile"] * self.strides.group
        network.tile_sample_stride_num_frames = settings["vae_step"] * self.strides.group

    def text_shape(self) -> tuple[int, int]:
        """256 tokens of Llama 3."""
        return TEXT_LENGTH, self.config["text_embed_dim"]

    def pooled_width(self) -> int:
        """CLIP's."""
        return int(self.config["pooled_projection_dim"])

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """Llama 3 and CLIP."""
        from vdprobe.models.hunyuan_video.text import HunyuanText

        return HunyuanText.load(self.pipeline, dtype, device)

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """`timestep` is 1000 s, in float32; `guidance` 1000 times its scale, in the precision of the network."""
        import torch

        masks, pooled = (
            torch.stack([value for text in texts if (value := getattr(text, name)) is not None]).to(latents)
            for name in ("mask", "pooled")
        )
        arguments = {
            "hidden_states": latents,
            "timestep": torch.full((len(latents),), float(level.told), device=latents.device),
            "encoder_hidden_states": torch.stack([text.hidden for text in texts]).to(latents),
            "encoder_attention_mask": masks,
            "pooled_projections": pooled,
            "return_dict": False,
        }
        if "guidance" in settings:
            arguments["guidance"] = latents.new_full((len(latents),), settings["guidance"]) * 1000.0
        return arguments
