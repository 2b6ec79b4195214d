"""LTX-Video (Lightricks 2024), 2B and 13B: few latents of many channels, one token each.

Facts from diffusers' `pipeline_ltx.py`, `pipeline_ltx_condition.py`, `transformer_ltx.py` and `autoencoder_kl_ltx.py`.
Texts are 128 tokens of T5, the denoiser gets a mask of their padding and T5 itself none; from 0.9.5 on they are 256,
and both get it. Latents are standardised by buffers of the VAE. Positions are in seconds and pixels, so that the frame
rate changes features.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.transformer.facts import Strides
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vdprobe.models.diffusion.parts_loaded import TextReader
    from vdprobe.models.diffusion.tokens import TextTokens


class LTXVideo(VideoTransformer):
    """LTX-Video 0.9.0 to 0.9.8, as text-to-video.

    Up to 0.9.1 it is run as LTXPipeline does, from 0.9.5 on as LTXConditionPipeline does, with other texts and other
    positions. The versions are told apart by their VAEs.
    """

    network_class: ClassVar[str] = "LTXVideoTransformer3DModel"
    vae_class: ClassVar[str] = "AutoencoderKLLTXVideo"

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The frame rate of both pipelines, and where the latent frames lie.

        - `first_frame_alone`: the first latent frame takes the time of one frame, as it does in the VAE, and not of a
          whole group as the others do (0.9.5 and later).
        """
        return {"fps": 25.0, "first_frame_alone": self.later}

    @property
    def later(self) -> bool:
        """Whether it is 0.9.5 or later."""
        return any("095" in str(name) for name in self.pipeline.config("vae").get("down_block_types", ()))

    @property
    def strides(self) -> Strides:
        """Groups of 8 frames, 32 pixels a latent, a token a latent."""
        config, vae = self.config, self.pipeline.config("vae")
        if (patches := (config.get("patch_size_t", 1), config.get("patch_size", 1))) != (1, 1):
            raise ModelError(f"model '{self.pipeline.name}' has patches of {patches} latents; known are those of 1")
        halvings = 2 ** sum(vae.get("spatio_temporal_scaling", (True, True, True, False)))
        return Strides(
            group=vae.get("temporal_compression_ratio") or vae.get("patch_size_t", 1) * halvings,
            side=vae.get("spatial_compression_ratio") or vae.get("patch_size", 4) * halvings,
            patch=(1, 1, 1),
        )

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """Two thirds of the depth: block 18 of the 2B's 28.

        There WALT's probes (ICCV 2025) are best, and HeFT (2025) reads another 2B model of 28 blocks. LTX itself was
        only ever read at all blocks (The Invisible Hand of Physics, 2026).
        """
        return {"default": (f"blocks.{2 * self.blocks.count // 3}",)}

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """With a frame rate that can be divided by."""
        settings = super().settings(request)
        if not (isfinite(settings["fps"]) and settings["fps"] > 0):
            raise ConfigError(f"settings.fps (={settings['fps']}) must be frames a second, a number above 0 such as 25")
        return settings

    def text_shape(self) -> tuple[int, int]:
        """128 tokens of T5, 256 from 0.9.5 on."""
        return 256 if self.later else 128, self.config["caption_channels"]

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """T5, and the mask of padding."""
        from vdprobe.models.transformer.t5 import T5Reader

        padding: Literal["masked", "masked-twice"] = "masked-twice" if self.later else "masked"
        return T5Reader.load(self.pipeline, "T5EncoderModel", self.text_shape()[0], padding, dtype, device)

    def normalise(self, vae: "nn.Module", latents: "Tensor") -> "Tensor":
        """(z - mean) * scaling_factor / std of each channel; means and deviations are buffers of the VAE."""
        network: Any = vae
        mean, std = (values.to(latents)[:, None, None] for values in (network.latents_mean, network.latents_std))
        return (latents - mean) * network.config.scaling_factor / std

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A token a latent, frame by frame and row by row, with their positions; `timestep` is 1000 s, in float32."""
        import torch

        return {
            "hidden_states": latents.flatten(2).transpose(1, 2),
            "timestep": torch.full((len(latents),), float(level.told), device=latents.device),
            "encoder_hidden_states": torch.stack([text.hidden for text in texts]).to(latents),
            "encoder_attention_mask": torch.stack([text.mask for text in texts if text.mask is not None]).to(
                latents.device
            ),
            "return_dict": False,
            **self.positions(latents, settings),
        }

    def output(self, value: "Tensor", size: Sequence[int]) -> "Tensor":
        """Tokens as latents."""
        return value.transpose(1, 2).unflatten(2, tuple(size[1:]))

    def positions(self, latents: "Tensor", settings: Mapping[str, Any]) -> dict[str, Any]:
        """Where latents (E C f h w) lie: in seconds, and in pixels of rows and columns."""
        import torch

        group, side, fps = self.strides.group, self.strides.side, settings["fps"]
        frames, height, width = latents.shape[2:]
        if not settings["first_frame_alone"]:
            scale = (group / fps, side, side)
            return {"num_frames": frames, "height": height, "width": width, "rope_interpolation_scale": scale}
        starts = (torch.arange(frames, device=latents.device) * group + 1 - group).clamp(min=0)
        rows, columns = (torch.arange(n, device=latents.device) * side for n in (height, width))
        coordinates = torch.stack(torch.meshgrid(starts, rows, columns, indexing="ij")).flatten(1).float()
        coordinates[0] = coordinates[0] * (1.0 / fps)
        return {"video_coords": coordinates.expand(len(latents), -1, -1)}
