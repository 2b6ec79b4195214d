"""What a user asks of one extraction: a grid of conditions x noises x timesteps over some videos."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vdprobe.data.layouts import Layout
from vdprobe.errors import ConfigError
from vdprobe.specs.canonical import DESCRIPTIVE
from vdprobe.specs.features import ComputeDtype, ConditionKind, NoiseKind, StoreDtype
from vdprobe.specs.lighting import Lighting, effective
from vdprobe.specs.load import build
from vdprobe.specs.request import FeatureRequest, LatentFrames
from vdprobe.specs.video import ClipSampling, Resize
from vdprobe.store.location import local_folder

MOST_TAPS = 1000
"""More than a network has places."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The frozen model.

    - `pipeline`: `tiny-t2v` (bundled), a pipeline folder, a Hugging Face id (`id@revision`), or a control:
      `random:tiny`, `random-unet:tiny-t2v`, `pixels`, `vision:ID_OR_FOLDER` (a vision model of the transformers
      library), `video-swin:b` (Video Swin by torchvision, `t`, `s` or `b`), `random-vision:ID_OR_FOLDER`,
      `random-video-swin:b`.
    - `image_encoder`: folder or id of a CLIP vision model, where the pipeline has none of its own.
    - `adapter`: a .safetensors file, a folder with one for each condition and noise
      (`vd-it-predicted.safetensors`), `random:SEED` for an untrained control, or `none`; by default what
      comes with the pipeline.
    - `compile`: run the UNet through `torch.compile`.
    """

    pipeline: str
    image_encoder: str | None = None
    adapter: str | None = None
    dtype: ComputeDtype = "float32"
    device: str = "auto"
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """The videos.

    - `path`: a video file, a folder of them, a folder of frames, a folder of such folders, or a dataset.
    - `layout`: how to read `path`; `auto` looks. `split` belongs to datasets.
    - `only`: ids to take; all of them if empty.
    - `expressions`: a JSON or CSV file of texts, for layouts that hold none; `masks`: a folder with a folder of
      masks for each video, for the same.
    - `limit`: the first so many videos by id. `texts_per_object`: the first so many expressions of a video that
      mean the same objects; those of which no object is known are all taken.
    - `rotate`: turn and mirror frames as their file asks of players; a dataset's are taken as stored, as its masks are.
    - `shuffle_texts`: a seed by which every expression gets the text of another: a control in which words say
      nothing. None leaves them.
    """

    path: str
    layout: Layout = "auto"
    split: str = "valid"
    only: tuple[str, ...] = ()
    expressions: str | None = None
    masks: str | None = None
    limit: int | None = None
    texts_per_object: int | None = None
    shuffle_texts: int | None = None
    rotate: bool = True

    def __post_init__(self) -> None:
        for name in ("limit", "texts_per_object"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"videos.{name} (={value}) must be at least 1, or null for all")


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """Where features go (`path`; by default VDPROBE_CACHE or the user's cache folder), and in what type.

    - `verify`: compare each file with its checksum when a process first reads it.
    - `durable`: have each item on the disk once it is done, so that a power cut costs nothing that was.

    The last two change no value and belong to no result.
    """

    path: str | None = None
    dtype: StoreDtype = "float16"
    verify: bool = field(default=True, metadata=DESCRIPTIVE)
    durable: bool = field(default=True, metadata=DESCRIPTIVE)

    def __post_init__(self) -> None:
        if self.path is not None:
            local_folder(self.path)


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """One extraction. `conditions` x `noises` give one feature spec each; `timesteps` are an axis.

    Features of `pixels` and vision models depend on the frames alone: conditions, noises, timesteps, latents and
    seed say nothing of them and leave their spec as it is, so that they can be asked for beside a pipeline's.

    - `lighting`: a change of light of the video's frames, before they are resized; None, or strength 0, for none.
    - `taps`: aliases, module paths or sets; see `vdprobe layers MODEL`. None for what a model is asked by default:
      `vd-it`, all patches of `pixels`, the last layer of a vision model, the stages of Video Swin.
    - `timesteps`: `500` (the model's own t), `s=0.2`, `sigma=0.5`, `logsnr=2` or `clean`; the last four compare models.
    - `latents`: `sample` from the VAE's posterior as the official code does, or take its `mode`.
    - `inversion_steps`: of the path from clean latents to noise, for the noise `inverted`.
    - `latent_frames`: for models whose VAE compresses time: `native`, or `frame-as-latent`, each frame encoded alone.
    - `incomplete_groups`: what to do with clips whose frames fill no whole group of such a VAE: `repeat` the last
      frame, which is said of each, or `refuse` them. It changes no value.
    - `settings`: what else changes the values of a family of models, such as `fps`; see `vdprobe layers MODEL`.
    - `seed`: of every draw: noise and posterior.
    - `batch_size`: expressions of one clip that share a forward; it changes values by float rounding.
    - `exact`: one expression a forward, and on a CPU one thread: values are the same to the bit whatever
      `batch_size` says and however many cores or threads there are, on one kind of CPU with one set of versions
      (both are kept with the features). Processes that share a store use the other cores. Order, shards and
      interruptions change no bit either way: batches are cut from a clip's texts, not from what happens to be
      left to do.
    """

    model: ModelConfig
    videos: VideoConfig
    clips: ClipSampling = field(default_factory=ClipSampling)
    resize: Resize = field(default_factory=Resize)
    lighting: Lighting | None = None
    taps: tuple[str, ...] | None = None
    conditions: tuple[ConditionKind, ...] = ("vd-t",)
    noises: tuple[NoiseKind, ...] = ("gaussian",)
    timesteps: tuple[int | float | str, ...] = (0,)
    latents: Literal["sample", "mode"] = "sample"
    inversion_steps: int = 50
    latent_frames: LatentFrames = "native"
    incomplete_groups: Literal["repeat", "refuse"] = field(default="repeat", metadata=DESCRIPTIVE)
    settings: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    seed: int = 0
    store: StoreConfig = field(default_factory=StoreConfig)
    batch_size: int = 4
    exact: bool = False

    @property
    def texts_per_forward(self) -> int:
        """`batch_size`, or 1 where `exact` is asked for."""
        return 1 if self.exact else self.batch_size

    @property
    def request(self) -> FeatureRequest:
        """What of it a model is asked."""
        return FeatureRequest(
            clips=self.clips,
            resize=self.resize,
            lighting=self.lighting,
            taps=self.taps,
            conditions=self.conditions,
            noises=self.noises,
            timesteps=self.timesteps,
            latents=self.latents,
            seed=self.seed,
            compute_dtype=self.model.dtype,
            store_dtype=self.store.dtype,
            inversion_steps=self.inversion_steps,
            latent_frames=self.latent_frames,
            settings=self.settings,
        )

    def __post_init__(self) -> None:
        object.__setattr__(self, "lighting", effective(self.lighting))
        if self.batch_size < 1:
            raise ConfigError(f"batch_size (={self.batch_size}) must be at least 1")
        if not 1 <= self.inversion_steps <= 1000:
            raise ConfigError(f"inversion_steps (={self.inversion_steps}) must be from 1 to 1000")
        if self.seed < 0:
            raise ConfigError(f"seed (={self.seed}) must be at least 0")
        if self.taps is not None and len(self.taps) > MOST_TAPS:
            raise ConfigError(
                f"taps names {len(self.taps)} places, over the limit of {MOST_TAPS}; take them in several runs"
            )
        for name in ("conditions", "noises"):
            if not getattr(self, name):
                raise ConfigError(f"{name} is empty; name at least one")


def parse_config(values: Mapping[str, Any]) -> ExtractConfig:
    """A checked configuration from nested plain values. Raises `ConfigError`."""
    return build(ExtractConfig, values)
