"""Cosmos-Predict2 Video2World (NVIDIA 2025): a transformer over Wan's latents that continues videos under a text.

Facts from diffusers' `pipeline_cosmos2_video2world.py` and `transformer_cosmos.py`. Here no frame is given as the
beginning: all are noisy, and the channel that marks given ones is 0. The pipeline divides x0 + sigma n by 1 + sigma and
tells s = sigma / (1 + sigma): a flow whose network gives the velocity. Texts are 512 tokens of T5 11B, zeros after the
last one, and no mask: padding counts. Positions depend on the frames a second.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.process import TRAINING_STEPS, Flow
from vdprobe.models.transformer.facts import Strides
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.models.transformer.part_config import completed
from vdprobe.models.transformer.t5_config import T5_11B, T5_TINY
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vdprobe.models.diffusion.parts_loaded import TextReader
    from vdprobe.models.diffusion.tokens import TextTokens

TEXT_LENGTH = 512
HEFT_BLOCK = 18
"""Where HeFT (2512.04619) matches points in the 2B, by queries and keys."""
DEFAULTS: dict[str, Any] = {
    "in_channels": 16,
    "num_attention_heads": 32,
    "num_layers": 28,
    "text_embed_dim": 1024,
    "patch_size": (1, 2, 2),
    "max_size": (128, 240, 240),
    "concat_padding_mask": True,
    "use_crossattn_projection": False,
}
VAE_DEFAULTS: dict[str, Any] = {"z_dim": 16, "scale_factor_temporal": 4, "scale_factor_spatial": 8}
"""What diffusers takes where a configuration of the transformer, or of the VAE, says nothing."""


class CosmosPredict2(VideoTransformer):
    """Cosmos-Predict2 2B and 14B Video2World.

    - `fps` of its settings: frames a second of the clip, 16 in the pipeline.
    """

    network_class: ClassVar[str] = "CosmosTransformer3DModel"
    vae_class: ClassVar[str] = "AutoencoderKLWan"

    def __post_init__(self) -> None:
        """Raises `ModelError` for the Cosmos of another generation or task, whose transformer is of the same class."""
        config, channels = self.config, completed(self.pipeline, "vae", VAE_DEFAULTS)["z_dim"]
        vae = self.pipeline.config("vae").get("_class_name", self.vae_class)
        reason = None
        if vae != self.vae_class:
            reason = f"its latents are those of {vae}, as in Cosmos 1"
        elif config["use_crossattn_projection"]:
            reason = "its texts are read by a language model (Reason1), as in Cosmos-Predict2.5"
        elif config["in_channels"] != channels + 1:
            reason = f"its in_channels are {config['in_channels']} for latents of {channels}, as for single images"
        elif self.process() != Flow():
            reason = "its scheduler follows no flow (FlowMatchEulerDiscreteScheduler)"
        if reason:
            raise ModelError(
                f"model '{self.pipeline.name}' is no Cosmos-Predict2 Video2World: {reason}; of Cosmos only that one is "
                "supported, take nvidia/Cosmos-Predict2-2B-Video2World or -14B-"
            )

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What the pipeline takes."""
        return {"fps": 16.0}

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the transformer, with diffusers' defaults."""
        return completed(self.pipeline, self.pipeline.denoiser, DEFAULTS)

    @property
    def latent_channels(self) -> int:
        """Without the channel that marks given frames."""
        return int(self.config["in_channels"]) - 1

    @property
    def strides(self) -> Strides:
        """Groups of 4 frames, 8 pixels a latent, patches of 1 x 2 x 2."""
        vae = completed(self.pipeline, "vae", VAE_DEFAULTS)
        frames, rows, columns = self.config["patch_size"]
        return Strides(vae["scale_factor_temporal"], vae["scale_factor_spatial"], (frames, rows, columns))

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """Block 18, whose queries and keys HeFT matches points by; two thirds of the depth of smaller networks."""
        block = HEFT_BLOCK if self.blocks.count > HEFT_BLOCK else 2 * self.blocks.count // 3
        return {"default": (f"blocks.{block}",), "heft": (f"blocks.{block}.q", f"blocks.{block}.k")}

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """The frames a second with what all families share."""
        settings = super().settings(request)
        if not 0 < settings["fps"] < float("inf"):
            raise ConfigError(f"settings.fps (={settings['fps']}) must be a number above 0")
        return settings

    def prepare_network(self, network: "nn.Module") -> None:
        """Leaves the channel that marks padding to `arguments`: diffusers makes it with torchvision."""
        network.register_to_config(concat_padding_mask=False)  # type: ignore[operator]

    def text_shape(self) -> tuple[int, int]:
        """512 tokens of T5."""
        return TEXT_LENGTH, self.config["text_embed_dim"]

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """T5, zeros for padding."""
        from vdprobe.models.transformer.t5 import T5Reader

        return T5Reader.load(self.pipeline, "T5EncoderModel", TEXT_LENGTH, "zeros", dtype, device)

    def normalise(self, vae: "nn.Module", latents: "Tensor") -> "Tensor":
        """(z - mean) / std of each channel."""
        config: Any = vae.config
        mean, std = (latents.new_tensor(values)[:, None, None] for values in (config.latents_mean, config.latents_std))
        return (latents - mean) / std

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """`timestep` is s of each latent frame, in float32; neither frames that are given nor padding are marked."""
        import torch

        self.check_positions(latents)
        frames = latents.shape[2]
        marks = 2 if self.config["concat_padding_mask"] else 1
        return {
            "hidden_states": latents,
            "timestep": torch.full((len(latents), 1, frames, 1, 1), level.told / TRAINING_STEPS, device=latents.device),
            "encoder_hidden_states": torch.stack([text.hidden for text in texts]).to(latents),
            "fps": settings["fps"],
            "condition_mask": latents.new_zeros(len(latents), marks, *latents.shape[2:]),
            "return_dict": False,
        }

    def check_positions(self, latents: "Tensor") -> None:
        """Raises `ConfigError` for latents (E C f h w) of places that the model has no positions for."""
        largest, strides = max(self.config["max_size"]), self.strides
        if max(latents.shape[3:]) > largest:
            raise ConfigError(
                f"model '{self.pipeline.name}' has positions for frames of up to {largest * strides.side} pixels a "
                f"side, and these are of {latents.shape[3] * strides.side}x{latents.shape[4] * strides.side}: make "
                "them smaller by resize"
            )


_SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_karras_sigmas": True}


def _parts(transformer: Mapping[str, Any], vae: Mapping[str, Any], text: Mapping[str, Any]) -> dict[str, Any]:
    shared = {"in_channels": 17, "out_channels": 16, "extra_pos_embed_type": None, "concat_padding_mask": True}
    return {
        "transformer": {"_class_name": "CosmosTransformer3DModel", **shared, **transformer},
        "vae": {"_class_name": "AutoencoderKLWan", "z_dim": 16, **vae},
        "text_encoder": text,
        "scheduler": _SCHEDULER,
    }


TINY = _parts(
    {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "num_layers": 4,
        "text_embed_dim": 16,
        "adaln_lora_dim": 4,
        "rope_scale": [1.0, 3.0, 3.0],
    },
    {"base_dim": 4, "num_res_blocks": 1},
    T5_TINY,
)
"""`random:tiny-cosmos-predict2`: the shape of Cosmos-Predict2 at a width that runs anywhere."""
SIZE_2B = _parts({"num_attention_heads": 16, "rope_scale": [1.0, 3.0, 3.0]}, {}, T5_11B)
SIZE_14B = _parts({"num_attention_heads": 40, "num_layers": 36, "rope_scale": [20 / 24, 2.0, 2.0]}, {}, T5_11B)
"""nvidia/Cosmos-Predict2-14B-Video2World."""
