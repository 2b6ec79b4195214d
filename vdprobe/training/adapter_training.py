"""Trains an adapter through the frozen model, with a small segmentation head that is thrown away in the end.

Clips go through the model one by one and their gradients are summed: they may differ in size, the
memory is that of one, and the forward is the one of an extraction, to the bit.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from vdprobe.data.hold import hold
from vdprobe.data.masks import prepare_labels
from vdprobe.data.text_files import read_json
from vdprobe.data.video import Failure
from vdprobe.errors import TrainingError
from vdprobe.metrics.region import region_similarity
from vdprobe.models.diffusion.adapter import Adapter, make_adapter
from vdprobe.models.diffusion.family import family_of
from vdprobe.models.diffusion.forms import ADAPTER_PARTS
from vdprobe.models.diffusion.pipeline import Pipeline, find_pipeline
from vdprobe.models.unet3d.levels import merge_levels
from vdprobe.models.unet3d.load import check_class
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.features import Condition, ConditionKind, NoiseKind
from vdprobe.specs.video import Resize
from vdprobe.training.adapter_words import Words, measure_words
from vdprobe.training.bad_batch import stop_at
from vdprobe.training.checkpoint import LOG, claim, is_begun, load_state, log_until, replace_file, save_state
from vdprobe.training.config import AdapterTrainingConfig
from vdprobe.training.frozen import EncodedClip, FrozenModel
from vdprobe.training.loop import SAVE_SECONDS, OnStep, run_steps
from vdprobe.training.losses import MaskLoss, mask_loss
from vdprobe.training.referring_clips import ClipDraws, Referrals, ReferringClip, derive_seed, find_referrals
from vdprobe.training.small_head import STRIDE, SmallHead, level_widths, pooled_text

ADAPTER, WORDS = "adapter.safetensors", "words.json"
BEGIN_TEXTS = 64
"""Texts whose tokens an untrained adapter gives back."""
WITH_LEVELS = ("UNet3DConditionModel", "UNet2DConditionModel", "UNetMotionModel")
"""The denoisers that have the levels that VD-IT reads, and tokens of their own for each frame."""
CACHE_BYTES = 2 << 30


@dataclass(frozen=True)
class Trained:
    """What a training made. The adapter is the last one: none is picked by what validation says of it.

    - `loss`: of the last step; `j`: region similarity after it, None without a validation split.
    - `words`: what was left of the text's words `before` the first step and `after` the last (`measure_words`).
    - `log`: one row a step. `notes`: what could not be used, and was not, in words.
    """

    adapter: Path
    steps: int
    loss: float
    j: float | None
    log: Path
    words: Mapping[str, Mapping[str, Words]]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]
    seconds: float


def adapter_parts(condition: ConditionKind, noise: NoiseKind) -> tuple[str, ...]:
    """The parts that a condition and a noise go through: those that are trained and saved."""
    return (*ADAPTER_PARTS[condition], *(("noise_predictor",) if noise == "predicted" else ()))


def train_adapter(
    config: AdapterTrainingConfig,
    out: Path,
    *,
    on_step: OnStep | None = None,
    save_seconds: float = SAVE_SECONDS,
    cache_bytes: int = CACHE_BYTES,
) -> Trained:
    """Trains until the last step and leaves `adapter.safetensors` in `out`; run again, it goes on where it was.

    Beside it lie `training.json` (configuration, model, data, versions), `log.jsonl`, `words.json` (how well
    texts survive the adapter, before and after) and `state.pt` (saved every `save_seconds`). On a CPU a training
    that was stopped gives the same bits as one that was not. `on_step` is called with each row of the log and the
    steps made before this run.

    Raises `ConfigError` where `out` holds another training, `DataError` for a video that cannot be
    read and `TrainingError` for a loss that is not finite (its batch is in `bad_batch.json`); mend
    it and run the same again.
    """
    began = time.monotonic()
    pipeline = find_pipeline(config.model.pipeline, config.model.image_encoder)
    check_class(
        pipeline,
        "train-adapter, which trains through the four levels that VD-IT reads,",
        "extract with --adapter random:0, an untrained control, or with an adapter of its widths trained elsewhere",
        classes=WITH_LEVELS,
    )
    referrals = find_referrals(config.videos.path, config.videos.split)
    val = find_referrals(config.videos.path, config.videos.val_split) if config.videos.val_split else None
    with hold(out):
        claim(out, describe(config, pipeline, referrals, val), begun=is_begun(out))
        training = AdapterTraining.load(config, pipeline, referrals, val, cache_bytes=cache_bytes)
        rows = training.resume(out)
        words = read_words(out)
        if not rows:
            words = {"before": measure_words(training.frozen, pipeline, training.shown())}
            write_words(out, words)
        rows += run_steps(
            lambda step: training.step(step, out),
            lambda step: save_state(out, training.state(step)),
            out / LOG,
            len(rows),  # a row a step
            config.steps,
            on_step=on_step,
            save_seconds=save_seconds,
        )
        replace_file(out / ADAPTER, training.adapter.save)
        if "after" not in words:
            words = words | {"after": measure_words(training.frozen, pipeline, training.shown())}
            write_words(out, words)
    return Trained(
        adapter=out / ADAPTER,
        steps=config.steps,
        loss=rows[-1]["loss"],
        j=rows[-1].get("j"),
        log=out / LOG,
        words=words,
        notes=training.notes(),
        failures=(*referrals.failures, *(val.failures if val else ())),
        seconds=time.monotonic() - began,
    )


def read_words(out: Path) -> dict[str, dict[str, Words]]:
    """What was measured of words so far; nothing of a training of before that was done."""
    return dict(read_json(out / WORDS)) if (out / WORDS).is_file() else {}


def write_words(out: Path, words: Mapping[str, Mapping[str, Words]]) -> None:
    """Writes what was measured of words."""
    replace_file(out / WORDS, lambda part: part.write_text(json.dumps(words, indent=2) + "\n", encoding="utf-8"))


def describe(
    config: AdapterTrainingConfig, pipeline: Pipeline, referrals: Referrals, val: Referrals | None
) -> dict[str, Any]:
    """What decides the result: the configuration, the model by content, and what is drawn from."""
    condition = Condition(kind=config.condition, form="adapter")
    parts = {*family_of(pipeline).parts(condition), "text_encoder", "tokenizer"}  # the head reads the text in any case
    return {
        "config": to_plain(config),
        "model": to_plain(pipeline.identity(parts)),
        "data": {"train": referrals.digest, "val": val.digest if val else None},
    }


def rate_at(step: int, steps: int, warmup: float) -> float:
    """The share of the full rate at a step: a line up over the share `warmup` of the steps, a cosine down to 0."""
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


@dataclass(frozen=True)
class AdapterTraining:
    """A training at some step: what is trained, what it is trained through and with."""

    config: AdapterTrainingConfig
    frozen: FrozenModel
    adapter: Adapter
    head: SmallHead
    optimizer: torch.optim.Optimizer
    referrals: Referrals
    draws: ClipDraws
    val: tuple[ReferringClip, ...]

    @classmethod
    def load(
        cls,
        config: AdapterTrainingConfig,
        pipeline: Pipeline,
        referrals: Referrals,
        val: Referrals | None = None,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> "AdapterTraining":
        """Everything as it is before the first step; the adapter is drawn from the seed and keeps texts as they are."""
        adapter = new_adapter(config, pipeline)
        frozen = FrozenModel.load(config, pipeline, adapter, cache_bytes=cache_bytes)
        texts = sorted({referral.expression.text for referral in referrals.usable})[:BEGIN_TEXTS]
        with torch.no_grad():
            adapter.begin_as_identity(torch.cat([frozen.text_encoder(text).hidden for text in texts]))
        head = SmallHead(level_widths(pipeline), pipeline.config("text_encoder")["hidden_size"], seed=config.seed).to(
            frozen.backbone.device
        )
        groups = [
            {"params": list(head.parameters()), "full_rate": config.head_rate},
            {"params": list(adapter.parameters()), "full_rate": config.adapter_rate},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        draws = ClipDraws(referrals.usable, config.clips, config.seed, "train")
        clips: list[ReferringClip] = []
        if val is not None:
            val_draws = ClipDraws(val.usable, config.clips, config.seed, "val")
            clips = val_draws.batch(0, min(config.val_clips, len(val.usable)))
        return cls(config, frozen, adapter, head, optimizer, referrals, draws, tuple(clips))

    def step(self, step: int, out: Path) -> dict[str, Any]:
        """One step of AdamW on the batch of this step; the row of the log that tells of it."""
        began = time.monotonic()
        config = self.config
        share = rate_at(step, config.steps, config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * share
        batch = self.draws.batch(step, config.batch_size)
        seed = derive_seed(config.seed, "noise", step)  # fresh, so that no one noise is learnt by heart
        losses = []
        try:
            for clip in batch:
                loss = self.loss(clip, seed)
                (loss.total / len(batch)).backward()
                losses.append((loss.total.item(), loss.focal.item(), loss.dice.item()))
        except torch.OutOfMemoryError as error:
            raise TrainingError("the device ran out of memory: lower clips.frames or resize.short_side") from error
        norm = nn.utils.clip_grad_norm_([*self.head.parameters(), *self.adapter.parameters()], config.clip_norm).item()
        if not np.isfinite([*np.ravel(losses), norm]).all():
            self._stop(step, batch, [total for total, _, _ in losses], norm, out)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        total, focal, dice = np.mean(losses, axis=0).tolist()
        row = {"step": step + 1, "loss": total, "focal": focal, "dice": dice, "norm": norm, "rate": share}
        row |= {"absent": self.draws.absent}
        if self.val and ((step + 1) % config.validate_every == 0 or step + 1 == config.steps):
            row["j"] = self.measure()
        return row | {"seconds": round(time.monotonic() - began, 3)}

    def loss(self, clip: ReferringClip, seed: int) -> MaskLoss:
        """How far the head's masks are from the truth on the picture's area."""
        logits, encoded = self.predict(clip, seed)
        target, valid = mask_cells(clip.mask, self.config.resize, encoded.size)
        return mask_loss(logits, target.to(logits.device), valid.to(logits.device))

    def predict(self, clip: ReferringClip, seed: int) -> tuple[Float[Tensor, "F H W"], EncodedClip]:
        """Mask logits at stride 4 of the padded frames."""
        video, text = clip.referral.video, self.frozen.read(clip.referral.expression.text)
        encoded = self.frozen.encode(video, clip.frames)
        features = self.frozen.features(encoded, video, clip.frames, text, seed)
        return self.head(merge_levels(features), pooled_text(text)), encoded

    @torch.no_grad()
    def measure(self) -> float:
        """J on the validation clips, at the size of their masks: the mean over expressions of the mean over frames."""
        values = []
        for clip in self.val:
            logits, encoded = self.predict(clip, self.config.seed)
            found = masks_at(logits, encoded.size, clip.mask.shape[1:])
            values.append(region_similarity(found, clip.mask).mean())
        return float(np.mean(values))

    def shown(self) -> list[ReferringClip]:
        """The clips by which words are measured: those of the validation, without one some to train on."""
        if self.val:
            return list(self.val)
        draws = ClipDraws(self.referrals.usable, self.config.clips, self.config.seed, "words")
        return draws.batch(0, min(self.config.val_clips, len(self.referrals.usable)))

    def state(self, step: int) -> dict[str, Any]:
        """What the next step depends on."""
        return {
            "step": step,
            "adapter": self.adapter.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "absent": self.draws.absent,
        }

    def resume(self, out: Path) -> list[dict[str, Any]]:
        """Takes up the state in `out`, if any; gives the log's rows up to it."""
        state = load_state(out)
        if state is None:
            return log_until(out, 0)
        self.adapter.load_state_dict(state["adapter"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.draws.absent = state["absent"]
        return log_until(out, state["step"])

    def notes(self) -> tuple[str, ...]:
        """Facts about the data that whoever reads the result should know."""
        encoder = self.frozen.text_encoder
        texts = list({referral.expression.text for referral in self.referrals.usable})
        cut = sum(
            len(ids) > encoder.length for ids in encoder.tokenizer(texts, truncation=False, verbose=False).input_ids
        )
        facts = (
            (self.referrals.unmasked, "videos have no masks and were left out"),
            (self.referrals.count_one_object(), "videos have masks of 0 and 255 alone, and 255 is read as object 1"),
            (self.referrals.unlabelled, "expressions do not say which object they mean and were left out"),
            (self.draws.absent, "clips never showed their object and were drawn again"),
            (cut, "texts were cut to what the text encoder reads"),
        )
        return tuple(f"{count} {fact}" for count, fact in facts if count)

    def _stop(self, step: int, batch: list[ReferringClip], losses: list[float], norm: float, out: Path) -> None:
        clips = [
            {
                "video": clip.referral.video.id,
                "expression": clip.referral.expression.id,
                "text": clip.referral.expression.text,
                "frames": clip.frames,
                "loss": str(loss),
            }
            for clip, loss in zip(batch, losses, strict=True)
        ]
        remedy = "lower head_rate and adapter_rate, or look at these videos"
        stop_at(step, clips, {"gradient_norm": str(norm)}, out, remedy=remedy)


def new_adapter(config: AdapterTrainingConfig, pipeline: Pipeline) -> Adapter:
    """An untrained adapter with the parts that the configuration needs, drawn from its seed."""
    unet = pipeline.config("unet")
    # A condition without the image needs no image encoder: the part made of its width is dropped again.
    uses_image = Condition(kind=config.condition, form="adapter").uses_image
    whole = make_adapter(
        width=unet["cross_attention_dim"],
        image_width=pipeline.config("image_encoder")["hidden_size"] if uses_image else 1,
        latent_channels=unet["in_channels"],
        seed=config.seed,
    )
    return Adapter(**{part: getattr(whole, part) for part in adapter_parts(config.condition, config.noise)})


def mask_cells(
    mask: Bool[np.ndarray, "F H W"], resize: Resize, size: tuple[int, int]
) -> tuple[Bool[Tensor, "F Hc Wc"], Bool[Tensor, "Hc Wc"]]:
    """(mask, picture rather than padding) at the middle of each cell of the head's logits, as ReferFormer takes them.

    - `size`: (height, width) of the picture within the padded frames.
    """
    labels = torch.from_numpy(prepare_labels(mask.astype(np.uint8), resize))
    valid = torch.zeros(labels.shape[1:], dtype=torch.bool)
    valid[: size[0], : size[1]] = True
    middle = slice(STRIDE // 2, None, STRIDE)
    return labels[:, middle, middle] > 0, valid[middle, middle]


def masks_at(
    logits: Float[Tensor, "F H W"], size: tuple[int, int], source_size: tuple[int, int]
) -> Bool[np.ndarray, "F Hs Ws"]:
    """Masks at the size of the video, from logits at stride 4 of the padded frames."""
    whole = functional.interpolate(logits[:, None], scale_factor=STRIDE, mode="bilinear")
    picture = whole[:, :, : size[0], : size[1]]
    if size != tuple(source_size):
        picture = functional.interpolate(picture, size=source_size, mode="bilinear")
    return (picture[:, 0] > 0).cpu().numpy()
