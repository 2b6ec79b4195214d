"""CogVideoX 2B, 5B and 1.5 5B (Yang et al. 2024): joint attention of text and video behind a VAE in chunks.

Facts from diffusers' `pipeline_cogvideox*.py`, `cogvideox_transformer_3d.py` and `autoencoder_kl_cogvideox.py`:
- Texts are always 226 tokens of T5, whose padding is seen by T5 and by the transformer, as nothing masks it. Text comes
  first in queries and keys; a block gives (video, text).
- Positions are sinusoids that are added (2B), rotary and stretched over the frame (5B), rotary and counted (1.5).
- 1.5 takes two latent frames to a token and fills them at the front, there with noise; here with the first latent
  frame, as its image-to-video pipeline does with its condition.
- The VAE encodes 8 frames at once, the first time also those that remain. Its normalisation looks at all frames of a
  chunk, so that a latent frame has also seen frames after its own.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.process import Discrete
from vdprobe.models.transformer.facts import Strides
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.models.transformer.part_config import completed
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vdprobe.models.diffusion.parts_loaded import TextReader
    from vdprobe.models.diffusion.tokens import TextTokens

DEFAULTS: dict[str, Any] = {
    "num_attention_heads": 30,
    "attention_head_dim": 64,
    "in_channels": 16,
    "ofs_embed_dim": None,
    "text_embed_dim": 4096,
    "num_layers": 30,
    "sample_width": 90,
    "sample_height": 60,
    "sample_frames": 49,
    "patch_size": 2,
    "patch_size_t": None,
    "temporal_compression_ratio": 4,
    "max_text_seq_length": 226,
    "use_rotary_positional_embeddings": False,
    "use_learned_positional_embeddings": False,
}
VAE_DEFAULTS: dict[str, Any] = {
    "block_out_channels": (128, 256, 256, 512),
    "latent_channels": 16,
    "temporal_compression_ratio": 4,
}
"""What diffusers takes where a configuration of the transformer, or of the VAE, says nothing."""
DIFFTRACK_BLOCK = 17
"""Where DiffTrack (NeurIPS 2025) matches points in 2B and 5B, by queries and keys."""
VAE_CHUNK = "vae_chunk"


class CogVideoX(VideoTransformer):
    """CogVideoX T2V: 2B, 5B and 1.5 5B.

    - `vae_chunk` of its settings: latent frames that the VAE encodes at once, 2 in training.
    """

    network_class: ClassVar[str] = "CogVideoXTransformer3DModel"
    vae_class: ClassVar[str] = "AutoencoderKLCogVideoX"
    text: ClassVar[Literal["none", "first", "last"]] = "first"
    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Raises `ModelError` for a checkpoint that animates an image, and for a scheduler of another process."""
        if not isinstance(self.process(), Discrete):
            raise ModelError(
                f"model '{self.pipeline.name}': CogVideoX was trained on DDPM's discrete process, which the scheduler "
                "of its folder does not follow; take the scheduler that the checkpoint was published with"
            )
        config, channels = self.config, completed(self.pipeline, "vae", VAE_DEFAULTS)["latent_channels"]
        if config["ofs_embed_dim"] or config["in_channels"] != channels:
            raise ModelError(
                f"model '{self.pipeline.name}' is a CogVideoX that animates an image (in_channels "
                f"{config['in_channels']} for latents of {channels} channels, ofs_embed_dim {config['ofs_embed_dim']}):"
                " it was never trained without one, and images as conditions are not supported in this family; take "
                "the text-to-video checkpoint of the same size, such as zai-org/CogVideoX-5b or zai-org/CogVideoX1.5-5B"
            )

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What the VAE was trained with."""
        return {VAE_CHUNK: 2}

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the transformer, with diffusers' defaults."""
        return completed(self.pipeline, self.pipeline.denoiser, DEFAULTS)

    @property
    def strides(self) -> Strides:
        """Groups of 4 frames, 8 pixels a latent, patches of 1 x 2 x 2 or 2 x 2 x 2."""
        vae, side = completed(self.pipeline, "vae", VAE_DEFAULTS), self.config["patch_size"]
        pixels = 2 ** (len(vae["block_out_channels"]) - 1)
        return Strides(vae["temporal_compression_ratio"], pixels, (self.config["patch_size_t"] or 1, side, side))

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """Block 17, whose queries and keys DiffTrack matches points by; the middle of networks too small for it."""
        block = DIFFTRACK_BLOCK if self.blocks.count > DIFFTRACK_BLOCK else self.blocks.count // 2
        return {"default": (f"blocks.{block}",), "difftrack": (f"blocks.{block}.q", f"blocks.{block}.k")}

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """The length of the VAE's chunks with what all families share."""
        settings = super().settings(request)
        if settings[VAE_CHUNK] < 1:
            raise ConfigError(f"settings.{VAE_CHUNK} (={settings[VAE_CHUNK]}) must be 1 or more latent frames")
        return settings

    def prepare_vae(self, vae: "nn.Module", settings: Mapping[str, Any]) -> None:
        """Sets how many frames the VAE encodes at once."""
        vae.num_sample_frames_batch_size = settings[VAE_CHUNK] * self.strides.group

    def text_shape(self) -> tuple[int, int]:
        """226 tokens of T5."""
        return self.config["max_text_seq_length"], self.config["text_embed_dim"]

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """T5, padding seen."""
        from vdprobe.models.transformer.t5 import T5Reader

        return T5Reader.load(self.pipeline, "T5EncoderModel", self.text_shape()[0], "seen", dtype, device)

    def normalise(self, vae: "nn.Module", latents: "Tensor") -> "Tensor":
        """Times the scaling factor."""
        config: Any = vae.config
        return config.scaling_factor * latents

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Latents as (E f C h w), whole tokens of them, and `timestep` as an integer."""
        import torch

        missing = -latents.shape[2] % self.strides.patch[0]
        filled = torch.cat([latents[:, :, :1].expand(-1, -1, missing, -1, -1), latents], dim=2) if missing else latents
        self.check_positions(filled)
        rotary = self.rotary_positions(filled) if self.config["use_rotary_positional_embeddings"] else None
        return {
            "hidden_states": filled.transpose(1, 2),
            "timestep": torch.full((len(latents),), int(level.told), device=latents.device),
            "encoder_hidden_states": torch.stack([text.hidden for text in texts]).to(latents),
            "image_rotary_emb": rotary,
            "return_dict": False,
        }

    def output(self, value: "Tensor", size: Sequence[int]) -> "Tensor":
        """(E f C h w) with the latent frames that filled the first token, without them and with channels first."""
        return value.transpose(1, 2)[:, :, -size[1] :]

    def check_positions(self, latents: "Tensor") -> None:
        """Raises `ConfigError` for latents (E C f h w) of places that the model has no positions for."""
        config, side = self.config, self.strides.side
        frames, height, width = latents.shape[2:]
        rows, columns = config["sample_height"], config["sample_width"]
        if config["use_learned_positional_embeddings"]:
            clip = (frames - 1) * config["temporal_compression_ratio"] + 1
            if (clip, height, width) != (config["sample_frames"], rows, columns):
                raise ConfigError(
                    f"model '{self.pipeline.name}' has learned positions, of clips of {config['sample_frames']} frames "
                    f"of {rows * side}x{columns * side} pixels alone, and this one is of {clip} frames of "
                    f"{height * side}x{width * side}: resize and cut clips to that"
                )
        elif self.strides.patch[0] > 1 and (height > rows or width > columns):
            raise ConfigError(
                f"model '{self.pipeline.name}' has positions for frames of up to {rows * side}x{columns * side} "
                f"pixels, and these are of {height * side}x{width * side}: make them smaller by resize"
            )

    def rotary_positions(self, latents: "Tensor") -> tuple["Tensor", "Tensor"]:
        """Cosines and sines of the places of latents (E C f h w), as the pipeline computes them."""
        from diffusers.models.embeddings import get_3d_rotary_pos_embed
        from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

        config, patch = self.config, self.strides.patch
        frames, rows, columns = (n // p for n, p in zip(latents.shape[2:], patch, strict=True))
        trained = config["sample_height"] // patch[1], config["sample_width"] // patch[2]
        if config["patch_size_t"] is None:
            crop = get_resize_crop_region_for_grid((rows, columns), trained[1], trained[0])
            options: dict[str, Any] = {"crops_coords": crop}
        else:
            options = {"crops_coords": None, "grid_type": "slice", "max_size": trained}
        cosines, sines = get_3d_rotary_pos_embed(
            embed_dim=config["attention_head_dim"],
            grid_size=(rows, columns),
            temporal_size=frames,
            device=latents.device,
            **options,
        )
        return cosines, sines
