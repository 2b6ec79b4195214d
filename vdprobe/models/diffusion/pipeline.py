"""Where a model's parts are, and who they are: folder, Hugging Face id, or random weights.

Nothing here imports torch: naming the features of a finished extraction must cost nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vdprobe.data.hub import download
from vdprobe.data.model_config import check_factor, check_whole_number, check_whole_numbers, read_model_config
from vdprobe.data.model_files import files_digest, weight_files
from vdprobe.errors import ModelError, suggest
from vdprobe.models.diffusion.process import Process
from vdprobe.models.diffusion.read_process import read_process
from vdprobe.models.families import ARCHITECTURES, FAMILIES, architecture
from vdprobe.specs.features import ModelIdentity
from vdprobe.specs.numbers import whole_number

DENOISERS = ("unet", "transformer", "transformer_2")
"""The parts that a denoiser may be; Wan 2.2 has a second transformer for the lower noise levels."""
PARTS = (
    *(*DENOISERS, "vae", "text_encoder", "text_encoder_2"),
    *("tokenizer", "tokenizer_2", "scheduler", "image_encoder", "motion_adapter"),
)
DEFAULT_IMAGE_ENCODER = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
"""What VD-IT uses; ModelScopeT2V has no image encoder of its own."""
ASSETS = Path(__file__).parents[2] / "assets"
INDEX = "model_index"
"""Of the pipeline as a whole: which classes its parts are of, and what no part says of itself."""
SECOND = 1 << 32
"""Added to the seed of the second transformer, whose tensors have the names of the first one's."""
BUNDLED = ("tiny-t2v",)
"""Models that come with the package, in the diffusers layout under `ASSETS`."""
RANDOM = ("random:", "random-unet:")
"""Prefixes of controls: `random:MODEL[:SEED]` has no trained weight, `random-unet:MODEL[:SEED]` all but its UNet's."""

WEIGHT_NAMES = {
    **dict.fromkeys((*DENOISERS, "vae", "motion_adapter"), ("diffusion_pytorch_model",)),
    **dict.fromkeys(("text_encoder", "text_encoder_2", "image_encoder"), ("model", "pytorch_model")),
}
TOKENIZERS = ("tokenizer", "tokenizer_2")
CONFIG_NAMES = {"scheduler": "scheduler_config.json", **dict.fromkeys(TOKENIZERS, "tokenizer_config.json")}
WHOLE_CLIP = {"text_encoder": "text_config", "image_encoder": "vision_config"}
"""Where a part's settings are in the configuration of both of CLIP's encoders."""
SIZES = {
    "unet": ("in_channels", "cross_attention_dim"),
    "text_encoder": ("hidden_size",),
    "image_encoder": ("hidden_size",),
}
TRANSFORMER_SIZES = {
    **dict.fromkeys(("transformer", "transformer_2"), ("in_channels", "num_attention_heads", "num_layers")),
    "image_encoder": ("hidden_size",),
}
LISTS = {"unet": ("block_out_channels",), "vae": ("block_out_channels",)}
"""What is read of a part's configuration beside a UNet, whatever else its library reads."""
TOKENIZER_FILES = (
    *("tokenizer_config.json", "vocab.json", "merges.txt", "tokenizer.json", "special_tokens_map.json"),
    *("vocab.txt", "spiece.model", "sentencepiece.bpe.model", "added_tokens.json"),
    "chat_template.jinja",
)


class PartConfig(dict[str, Any]):
    """The configuration of a part; asked for what the file at `path` does not say, it raises `ModelError`."""

    def __init__(self, config: Mapping[str, Any], path: Path) -> None:
        super().__init__(config)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise ModelError(f"{self.path} does not say {key}; is the download complete?")


@dataclass(frozen=True)
class RandomWeights:
    """Parts that are drawn from `seed` instead of read; `architecture` where no folder has their configuration."""

    parts: tuple[str, ...]
    seed: int
    architecture: str | None = None


@dataclass(frozen=True)
class Pipeline:
    """A model, located but not loaded.

    - `name`: as the user gave it (an id includes its resolved revision).
    - `folders`: part to folder; empty for an architecture with random weights. `image_encoder` and
      `adapters` (see `adapter_set`) may be absent.
    - `random`: what is drawn, None when all is read.
    """

    name: str
    folders: Mapping[str, Path]
    random: RandomWeights | None = None
    _read: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was read of `model_index.json` and of the parts' configurations, which every forward asks for again."""

    def folder(self, part: str) -> Path:
        """The folder of a part. Raises `ModelError` naming the remedy when it is absent."""
        folder = self.folders.get(part)
        if folder is None:
            own = f"give --image-encoder FOLDER or an id, such as {DEFAULT_IMAGE_ENCODER} (VD-IT's)"
            remedy = own if part == "image_encoder" else "is the download complete?"
            raise ModelError(f"model '{self.name}' has no part '{part}': {remedy}")
        config = folder / CONFIG_NAMES.get(part, "config.json")
        if part not in TOKENIZERS and not config.is_file():
            raise ModelError(
                f"model '{self.name}' has no part '{part}' ({config} does not exist); "
                "a pipeline folder holds a denoiser (unet or transformer), vae, text_encoder, tokenizer and scheduler, "
                "each with its configuration"
            )
        return folder

    @property
    def denoiser(self) -> str:
        """The part that denoises. Raises `ModelError` where there is none."""
        for part in DENOISERS:
            if self.has(part):
                return part
        raise ModelError(f"model '{self.name}' has no denoiser: neither {' nor '.join(DENOISERS)}; get all of it")

    @property
    def denoiser_class(self) -> str:
        """The class of its denoiser, which its family is found by. Raises `ModelError` for one of no family."""
        part = self.denoiser
        name = self.config(part).get("_class_name", "UNet3DConditionModel" if part == "unet" else None)
        if name not in FAMILIES:
            raise ModelError(
                f"model '{self.name}': its {part} is of class {str(name)[:60]}, and known are {', '.join(FAMILIES)}"
            )
        return str(name)

    def seed(self, part: str) -> int | None:
        """The seed of a part with random weights, None for a part that is read."""
        if self.random is None or part not in self.random.parts:
            return None
        return self.random.seed + (SECOND if part == "transformer_2" else 0)

    def has(self, part: str) -> bool:
        """Whether there is such a part."""
        return part in (
            architecture(self.random.architecture) if self.random and self.random.architecture else self.folders
        )

    @property
    def index(self) -> dict[str, Any]:
        """What the pipeline says of itself as a whole (`model_index.json`), empty where it says nothing."""
        if self.random and self.random.architecture:
            return dict(architecture(self.random.architecture).get(INDEX, {}))
        if INDEX not in self._read:
            path = self.folder(self.denoiser).parent / f"{INDEX}.json"
            self._read[INDEX] = read_model_config(path) if path.is_file() else {}
        return dict(self._read[INDEX])

    def config(self, part: str) -> dict[str, Any]:
        """The part's configuration. Raises `ModelError` for one that is torn, or lacks what is asked of it here."""
        if self.random and self.random.architecture:
            parts = architecture(self.random.architecture)
            if part not in parts:
                made = ", ".join(one for one in parts if one != INDEX)
                raise ModelError(f"model '{self.name}' has no part '{part}': it is made of {made}")
            return dict(parts[part])
        path = self.folder(part) / CONFIG_NAMES.get(part, "config.json")
        if part not in self._read:
            self._read[part] = self._read_config(part, path)
        return PartConfig(self._read[part], path)

    def _read_config(self, part: str, path: Path) -> dict[str, Any]:
        value = read_model_config(path)
        inside = value.get(WHOLE_CLIP.get(part, ""))
        config = inside if isinstance(inside, dict) else value
        sizes, lists = (
            (TRANSFORMER_SIZES, {}) if {"transformer", "transformer_2"} & self.folders.keys() else (SIZES, LISTS)
        )
        for key in sizes.get(part, ()):
            check_whole_number(config, key, path)
        for key in lists.get(part, ()):
            check_whole_numbers(config, key, path)
        if part == "vae":
            check_factor(config, "scaling_factor", path)
        return config

    def process(self) -> Process:
        """The process that it was trained on, from data to noise."""
        return read_process(self.config("scheduler"))

    def weight_files(self, part: str) -> tuple[Path, ...]:
        """The files that hold a part's weights: safetensors before .bin, whole before sharded."""
        what = f"part '{part}' of model '{self.name}'"
        return weight_files(self.folder(part), WEIGHT_NAMES[part], what)

    def identity(self, parts: Iterable[str]) -> ModelIdentity:
        """The model by content, as far as `parts` go."""
        return ModelIdentity(name=self.name, parts={part: self._fingerprint(part) for part in sorted(parts)})

    def _fingerprint(self, part: str) -> str:
        seed = self.seed(part)
        if seed is not None:
            config = json.dumps(self.config(part), sort_keys=True) if part not in TOKENIZERS else "bytes"
            # The draws come from torch's generator, so they are torch's as much as ours.
            text = f"random seed={seed} torch={version('torch').split('+')[0]} {part} {config}"
            return hashlib.sha256(text.encode()).hexdigest()
        if part in TOKENIZERS:
            files = [f for name in TOKENIZER_FILES if (f := self.folder(part) / name).is_file()]
            if not files:
                raise ModelError(f"model '{self.name}' has no tokenizer files in {self.folder(part)}")
        else:
            files = [self.folder(part) / CONFIG_NAMES.get(part, "config.json")]
            files += self.weight_files(part) if part in WEIGHT_NAMES else ()
            preprocessor = self.folder(part) / "preprocessor_config.json"
            files += [preprocessor] if part == "image_encoder" and preprocessor.is_file() else []
        return files_digest(files)


def find_pipeline(name: str, image_encoder: str | None = None, *, others: Sequence[str] = ()) -> Pipeline:
    """Locates a model: `tiny-t2v` (bundled), `random:tiny`, a pipeline folder, or a Hugging Face id (`id@revision`).

    `random:` and `random-unet:` before any of these give its controls, see `RANDOM`; `+` and a folder or id after it a
    motion adapter, which makes AnimateDiff of Stable Diffusion.

    - `image_encoder`: a folder or id of a CLIP vision model; by default the pipeline's own, or, for
      an id without one, the one VD-IT uses.
    - `others`: names that the caller takes beside pipelines, for the error.

    Raises `ModelError` when there is no such model.
    """
    if name.startswith(RANDOM):
        return _random_pipeline(name, image_encoder)
    base, plus, motion = name.rpartition("+")
    if plus and not Path(name).expanduser().is_dir():
        return _with_motion(find_pipeline(base, image_encoder, others=others), motion)
    root = ASSETS / name if name in BUNDLED else Path(name).expanduser()
    if name in BUNDLED and not root.is_dir():
        raise ModelError(f"model '{name}' is not in this installation ({root} does not exist): install vdprobe anew")
    if root.is_dir():
        folders = {part: root / part for part in (*PARTS, "adapters") if (root / part).is_dir()}
        if not {*DENOISERS, "vae"} & folders.keys():
            raise ModelError(
                f"{root} is no pipeline folder: it holds neither unet/ nor transformer/ nor vae/ ({', '.join(PARTS)})"
            )
    elif name.count("/") == 1 and not name.startswith((".", "/", "~")):
        root, name = download(name, [INDEX, *(f"{part}/" for part in PARTS)])
        folders = {part: root / part for part in PARTS if (root / part).is_dir()}
        if image_encoder is None and "unet" in folders and "image_encoder" not in folders:
            with suppress(ModelError):  # out of reach it is missed where it is needed, and only there
                folders["image_encoder"] = download(DEFAULT_IMAGE_ENCODER, [""])[0]
    else:
        raise ModelError(
            f"no model '{name}': not a folder, not a Hugging Face id (owner/name[@revision]), "
            f"not {' or '.join((*BUNDLED, *others))}, and not random:{{{','.join(ARCHITECTURES)}}}"
        )
    if image_encoder:
        own = Path(image_encoder).expanduser()
        folders["image_encoder"] = own if own.is_dir() else download(image_encoder, [""])[0]
    return Pipeline(name=name, folders=folders)


def _with_motion(pipeline: Pipeline, name: str) -> Pipeline:
    """The pipeline of an image model with a motion adapter, a folder or an id, beside it."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if name.count("/") != 1 or name.startswith((".", "/", "~")):
            raise ModelError(f"no motion adapter '{name}': after the + goes a folder or a Hugging Face id")
        folder, name = download(name, [""])
    return Pipeline(f"{pipeline.name}+{name}", {**pipeline.folders, "motion_adapter": folder}, pipeline.random)


def _random_pipeline(name: str, image_encoder: str | None) -> Pipeline:
    kind, _, base = name.partition(":")
    rest, _, last = base.rpartition(":")
    given = whole_number(last) if rest else None
    base, seed = (base, 0) if given is None or given < 0 else (rest, given)
    if base in ARCHITECTURES and kind == "random":
        if image_encoder:
            raise ModelError(f"model '{name}' has random weights throughout; leave out --image-encoder")
        return Pipeline(name=name, folders={}, random=RandomWeights(PARTS, seed, base))
    known = (*(ARCHITECTURES if kind == "random" else ()), *BUNDLED)
    if ":" in base:
        head = base.partition(":")[0]
        raise ModelError(f"model '{name}': write {kind}:{head} or {kind}:{head}:SEED, with a number for SEED")
    if base not in BUNDLED and "/" not in base and not Path(base).is_dir():
        raise ModelError(f"{kind}: no architecture '{base}': {suggest(base, known)}, a pipeline folder or owner/name")
    trained = find_pipeline(base, image_encoder)
    denoisers = tuple(part for part in DENOISERS if trained.has(part)) or (trained.denoiser,)
    parts = tuple(WEIGHT_NAMES) if kind == "random" else denoisers
    return Pipeline(name=name, folders=trained.folders, random=RandomWeights(parts, seed))
