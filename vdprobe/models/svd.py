"""Stable Video Diffusion, SVD and SVD-XT (Blattmann et al. 2023): image to video, no text.

Facts from diffusers' `pipeline_stable_video_diffusion.py` and `unet_spatio_temporal_condition.py`. The network gets the
first frame twice: CLIP's embedding of it is the one token of every cross-attention (a softmax over one token: it is
added alike at every place), and its latents, not scaled, are four more channels of every frame. `vd-i` is that: one
image for all frames, whatever they show. It is not VD-IT's `vd-i`, where each frame has the tokens of its own picture:
the temporal cross-attentions read the token of frame 0 for all frames. Beside it the network is told frames a second
less 1, a motion bucket, and how much noise was added to the picture.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.part_configs import CLIP_H_IMAGE, CLIP_TINY_IMAGE, clip_image, image_vae
from vdprobe.models.unet.family import VideoUNet, check_given_image
from vdprobe.specs.features import Condition, ConditionKind
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vdprobe.models.diffusion.adapter import Adapter
    from vdprobe.models.diffusion.frame_vae import VideoEncoder
    from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
    from vdprobe.models.unet.first_frame import FirstFrame, FirstFrameReader

TOLD = ("fps", "motion_bucket", "noise_aug")
"""The settings that the network is told, in this order."""


class SVD(VideoUNet):
    """SVD (14 frames) and SVD-XT (25 frames)."""

    network_class: ClassVar[str] = "UNetSpatioTemporalConditionModel"
    defaults: ClassVar[Mapping[str, Any]] = {
        "fps": 7.0,
        "motion_bucket": 127.0,
        "noise_aug": 0.02,
        "unconditional": False,
    }
    """As the pipeline's; `unconditional`: zeros for both forms of the image, as its own guidance drops them."""

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """The third up block: Track4Gen (CVPR 2025) tracks points by features of an up block of SVD."""
        return {"default": (f"unet.up.{min(2, self.blocks - 1)}",)}

    @property
    def latent_channels(self) -> int:
        """Half of what the UNet takes: the other half are the latents of the first frame."""
        return int(self.config["in_channels"]) // 2

    def resolve_condition(self, kind: ConditionKind, fingerprints: Mapping[str, str]) -> Condition:
        """`vd-i` alone."""
        if kind == "vd-i":
            return Condition(kind=kind, form="raw")
        reason = "its one image token leaves text nothing to attend to" if kind == "vd-it" else "it has no text encoder"
        raise ModelError(
            f"condition '{kind}' has no meaning for '{self.pipeline.name}': Stable Video Diffusion is conditioned on a "
            f"clip's first frame alone, {reason}; take vd-i (settings.unconditional=true drops the image too)"
        )

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """Those of the pipeline; the seed too where noise is drawn for the picture."""
        settings = super().settings(request)
        draws = settings["noise_aug"] > 0 and not settings["unconditional"]
        return settings | ({"seed": request.seed} if draws else {})

    @property
    def unguided(self) -> Condition:
        """The picture, or the zeros that settings have in its place: there is no text that could be empty."""
        return Condition(kind="vd-i", form="raw")

    def facts(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """That there is one image for all frames."""
        if settings["unconditional"]:
            return ()
        return ("vd-i is the clip's first frame for all of its frames, as the model was trained, not each frame's own",)

    def check_adapters(self, conditions: Sequence[Condition], adapters: Sequence["Adapter"]) -> None:
        """Raises `ModelError` also where parts of the model do not belong together."""
        super().check_adapters(conditions, adapters)
        check_given_image(self, conditions, {"image_encoder": "projection_dim"})
        config = self.config
        if len(TOLD) * config["addition_time_embed_dim"] != config["projection_class_embeddings_input_dim"]:
            raise ModelError(
                f"model '{self.pipeline.name}': its unet takes embeddings of width "
                f"{config['projection_class_embeddings_input_dim']}, which is not {len(TOLD)} (fps, motion bucket, "
                f"noise) times {config['addition_time_embed_dim']}; its configuration is of another model"
            )

    def load_image(
        self, video: "VideoEncoder", settings: Mapping[str, Any], dtype: "torch.dtype", device: "torch.device"
    ) -> "FirstFrameReader | None":
        """CLIP on the whole picture, squeezed to a square; latents as the VAE gives them."""
        from vdprobe.models.diffusion.clip_image import clip_vision_model
        from vdprobe.models.unet.first_frame import FirstFrameReader
        from vdprobe.models.unet.pictures import squeezed

        if settings["unconditional"]:
            return None
        clip = clip_vision_model(self.pipeline, dtype, device)
        return FirstFrameReader(clip, video, squeezed, strength=settings["noise_aug"], seed=settings.get("seed", 0))

    def make_condition(
        self,
        condition: Condition,
        frames: int,
        text: "TextTokens | None",
        image: "ImageTokens | None",
        adapter: "Adapter | None",
        settings: Mapping[str, Any],
    ) -> "FirstFrame | None":
        """The first frame, None without."""
        from vdprobe.models.unet.first_frame import FirstFrame

        return None if image is None else FirstFrame.of(image)

    def empty_condition(self, frames: int) -> "FirstFrame | None":
        """Zeros, which have the shapes of any."""
        return None

    def arguments(
        self,
        latents: "Tensor",
        level: NoiseLevel,
        conditions: Sequence["FirstFrame | None"],
        settings: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Latents as (E F 2C h w), time as ln(sigma) / 4 in float32."""
        import torch

        count, _, frames = latents.shape[:3]
        token = latents.new_zeros(1, self.config["cross_attention_dim"])
        tokens = [token if c is None else c.embedding.to(token) for c in conditions]
        firsts = [torch.zeros_like(latents[0, :, 0]) if c is None else c.latents.to(latents) for c in conditions]
        image = torch.stack(firsts)[:, None].expand(-1, frames, -1, -1, -1)
        told = [settings["fps"] - 1, settings["motion_bucket"], settings["noise_aug"]]
        return {
            "sample": torch.cat([latents.transpose(1, 2), image], dim=2),
            "timestep": torch.full((count,), float(level.told), device=latents.device),
            "encoder_hidden_states": torch.stack(tokens),
            "added_time_ids": torch.tensor(told, device=latents.device).expand(count, -1),
            "return_dict": False,
        }

    def output(self, value: "Tensor") -> "Tensor":
        """Given with frames before channels."""
        return value.transpose(1, 2)


_SCHEDULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "use_karras_sigmas": True,
}


def _architecture(unet: dict[str, Any], vae: Sequence[int], image: dict[str, int]) -> dict[str, dict[str, Any]]:
    down, up = "BlockSpatioTemporal", "UpBlockSpatioTemporal"
    return {
        "unet": {
            "_class_name": "UNetSpatioTemporalConditionModel",
            "in_channels": 8,
            "out_channels": 4,
            "down_block_types": [*[f"CrossAttnDown{down}"] * 3, f"Down{down}"],
            "up_block_types": [up, *[f"CrossAttn{up}"] * 3],
            **unet,
        },
        "vae": image_vae(vae, _class_name="AutoencoderKLTemporalDecoder", force_upcast=True),
        "image_encoder": clip_image(image),
        "scheduler": _SCHEDULER,
    }


TINY = _architecture(
    {
        "block_out_channels": [32, 32, 64, 64],
        "layers_per_block": 1,
        "cross_attention_dim": 48,
        "num_attention_heads": [2, 2, 4, 4],
        "addition_time_embed_dim": 32,
        "projection_class_embeddings_input_dim": 96,
        "num_frames": 14,
    },
    (32, 32, 64, 64),
    {**CLIP_TINY_IMAGE, "projection_dim": 48},
)
"""`random:tiny-svd`: the shape of SVD at a width that runs anywhere."""
XT = _architecture(
    {
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "cross_attention_dim": 1024,
        "num_attention_heads": [5, 10, 20, 20],
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 768,
        "num_frames": 25,
    },
    (128, 256, 512, 512),
    CLIP_H_IMAGE,
)
"""`random:svd-xt`: the published size; SVD differs in the number of frames alone."""
