"""Trains VD-IT's head on features that are in a store. The frozen model is not loaded.

This is not to the letter what the authors trained on: their `model.train()` (engine.py:128) puts the dropout of 0.1 in
the UNet's temporal convolutions to work, in spite of the `unet.eval()` before it, and that of RoBERTa, while the
features and words of a cache are without any. See `HeadTrainingConfig` for what of their augmentation a cache can give.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from vdprobe.data.video import Failure
from vdprobe.errors import ConfigError, TrainingError
from vdprobe.extraction.report import Report
from vdprobe.extraction.stores import store_root
from vdprobe.head.config import HeadConfig, HeadSizes
from vdprobe.head.files import save_head
from vdprobe.head.head import Head
from vdprobe.head.words import WordEncoder
from vdprobe.models.unet3d.taps import VDIT_LEVELS
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.spans import USUAL_RULE
from vdprobe.training.accelerator import end_accelerate, on_main_process, start_accelerate
from vdprobe.training.bad_batch import stop_at
from vdprobe.training.cached_clips import pipeline_of
from vdprobe.training.checkpoint import LOG, claim, hold, is_begun, load_state, log_until, replace_files, save_state
from vdprobe.training.curves import event_files, write_row
from vdprobe.training.head_batches import HeadLosses, by_shape, make_batch
from vdprobe.training.head_clips import HeadClip
from vdprobe.training.head_config import HeadTrainingConfig
from vdprobe.training.head_data import HeadData, HeadPlans
from vdprobe.training.head_loader import HeadSteps, read_steps
from vdprobe.training.head_place import HeadPlace, find_place
from vdprobe.training.head_start import begin_with, check_start
from vdprobe.training.head_validation import score_expressions
from vdprobe.training.loop import SAVE_SECONDS, OnStep, Row, run_steps
from vdprobe.training.small_head import level_widths

LAST, BEST, CURVES = "last", "best", "tensorboard"
WORDS = "words"
"""Folder in a store where the head's text encoder keeps what it made."""
SCORES = ("J&F", "J", "F")


@dataclass(frozen=True)
class TrainedHead:
    """What a training made.

    - `last`, `best`: folders of heads. `best` is that of the highest J&F in a validation, whose `scores` are
      therefore those of data that took part in the choice; both are None without a validation split.
    - `loss`: of the last step. `log`: one row a step.
    - `step_seconds`: of a step of this run, without validations; `waiting`: the share of it that was spent
      waiting for data. None where no step was left to make.
    - `notes`: what could not be used, and was not, in words.
    """

    last: Path
    best: Path | None
    scores: Mapping[str, float] | None
    steps: int
    loss: float
    log: Path
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]
    seconds: float
    step_seconds: float | None
    waiting: float | None


def train_head(
    config: HeadTrainingConfig,
    out: Path,
    *,
    fill: bool = False,
    on_extract: Callable[[Report], None] | None = None,
    on_step: OnStep | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> TrainedHead:
    """Trains until the last step and leaves heads in `out`; run again, it goes on where it was.

    `last` is saved with the state, every `save_seconds` and at the end, and `best` with each validation that
    beats all before. Beside them lie `training.json` (configuration, model, data, versions), `log.jsonl`,
    `tensorboard` and `state.pt`. On a CPU a training that was stopped gives the same bits as one that was not.
    Under `accelerate launch` every process takes its share of each batch.

    - `fill`: extract first what the store lacks, telling `on_extract`.
    - `on_step`: called with each row of the log and the steps made before this run.

    Raises `ConfigError` where `out` holds another training, `StoreError` where the store lacks features,
    `DataError` for masks that cannot be used and `TrainingError` for a loss that is not finite (its batch is
    in `bad_batch.json`); mend it and run the same again.
    """
    began = time.monotonic()
    accelerator = start_accelerate(config.precision, config.features.model.device)
    if config.batch_size < accelerator.num_processes:
        raise ConfigError(
            f"batch_size (={config.batch_size}) is the clips of all processes, of which there are "
            f"{accelerator.num_processes}: raise it, or start fewer"
        )
    plans = HeadPlans.make(config)
    cache = store_root(config.features.store) / WORDS
    pipeline, device = pipeline_of(plans.views[0]), accelerator.device
    words = WordEncoder.load(config.words, pipeline, device, cache=cache, text_case=config.text_case)
    start = None if config.start is None else find_place(config.start)
    if start is not None:  # the widths of other taps are known when there are features
        widths = level_widths(pipeline) if pipeline is not None and config.levels == VDIT_LEVELS else None
        check_start(start, {"level_widths": widths, "text_width": words.width, **vars(config.head)})
    record = describe(plans, words, start)
    with ExitStack() as stack:

        def take_folder() -> None:
            stack.enter_context(hold(out))
            claim(out, record, begun=is_begun(out))

        if fill:  # which may take days: a folder that is refused is refused before it
            on_main_process(accelerator, take_folder)
            plans.extract(on_extract if accelerator.is_main_process else None)
            accelerator.wait_for_everyone()
        data = HeadData.open(plans)
        if not fill:
            on_main_process(accelerator, take_folder)
        on_main_process(accelerator, lambda: words.fill(data.texts))
        training = HeadTraining.load(data, words, accelerator, out, start)
        earlier = training.resume()
        made = run(training, len(earlier), on_step, save_seconds)
        best, notes = training.best, (*data.notes(), *training.notes())
        del training
        end_accelerate(accelerator)
    seconds = sum(row["seconds"] for row in made)
    return TrainedHead(
        last=out / LAST,
        best=out / BEST if best else None,
        scores=best,
        steps=config.steps,
        loss=(earlier + made)[-1]["loss"],
        log=out / LOG,
        notes=notes,
        failures=(*data.referrals.failures, *(data.val_referrals.failures if data.val_referrals else ())),
        seconds=time.monotonic() - began,
        step_seconds=seconds / len(made) if made else None,
        waiting=sum(row["seconds"] * row["waiting"] for row in made) / seconds if made else None,
    )


def describe(plans: HeadPlans, words: WordEncoder, start: HeadPlace | None = None) -> dict[str, Any]:
    """What decides the result: the configuration, the model and the head to `start` from by content, and what is drawn
    from.

    How many processes read or train is not among it: it may change on the way. Nor is the path of the head to start
    from, which `started_from` tells.
    """
    config = to_plain(plans.config, keyed=True)
    del config["workers"], config["start"]
    if config["text_case"] == "lower":  # which all had before there was a choice: their trainings go on
        del config["text_case"]
    if config["frame_rule"] == USUAL_RULE:  # as above
        del config["frame_rule"]
    parts = {name: digest for plan in plans.all for spec in plan.specs for name, digest in spec.model.parts.items()}
    model = {"name": plans.views[0].model.name, "parts": parts, "words": words.identity}
    record = {"config": config, "model": model, "data": plans.describe()}
    if start is None:
        return record
    return record | {"model": model | {"start": start.digest}, "started_from": str(start.folder)}


def run(training: "HeadTraining", before: int, on_step: OnStep | None, save_seconds: float) -> list[Row]:
    """Makes the steps after `before`, written down by the main process."""
    config, accelerator, out = training.config, training.accelerator, training.out
    main = accelerator.is_main_process
    steps = HeadSteps(training.data.clips(), accelerator.process_index, accelerator.num_processes)
    with ExitStack() as stack:
        reader = stack.enter_context(closing(read_steps(steps, before, config.steps, config.workers)))
        curves = stack.enter_context(event_files(out / CURVES, before)) if main and before < config.steps else None

        def step(number: int) -> Row:
            began = time.monotonic()
            clips = next(reader)
            row = training.step(number, clips, began)
            if curves is not None:
                write_row(curves, row, SCORES)
            return row

        return run_steps(
            step,
            training.save if main else lambda _: None,
            out / LOG if main else Path(os.devnull),
            before,
            config.steps,
            on_step=on_step if main else None,
            save_seconds=save_seconds,
        )


def rate_at(step: int, steps: int, drops: tuple[float, ...]) -> float:
    """The share of the full rate at a step: a tenth of what it was, from each of the shares `drops` of the steps on."""
    return 0.1 ** sum(step >= round(share * steps) for share in drops)


@dataclass
class HeadTraining:
    """A training at some step.

    - `model`: the head and its criterion, as Accelerate runs them.
    - `absent`: clips that were drawn again, since they never show their object. `skipped`: steps that changed
      nothing, since their gradient overflowed in float16 (the scale is lowered then).
    - `best`: the highest scores of a validation so far.
    """

    data: HeadData
    words: WordEncoder
    accelerator: Accelerator
    out: Path
    head: Head
    model: torch.nn.Module
    optimizer: Any  # torch's, wrapped by Accelerate
    absent: int = 0
    skipped: int = 0
    best: dict[str, float] | None = None

    @classmethod
    def load(
        cls, data: HeadData, words: WordEncoder, accelerator: Accelerator, out: Path, start: HeadPlace | None = None
    ) -> "HeadTraining":
        """Everything as it is before the first step; the head is untrained, drawn from the seed, or that of `start`."""
        config = data.config
        sizes = {field.name: getattr(config.head, field.name) for field in fields(HeadSizes)}
        head = Head(HeadConfig(level_widths=data.level_widths, text_width=words.width, **sizes), seed=config.seed)
        if start is not None:
            begin_with(head, start)
        neck = list(head.neck.parameters())
        others = [parameter for name, parameter in head.named_parameters() if not name.startswith("neck.")]
        groups = [{"params": others, "full_rate": config.rate}, {"params": neck, "full_rate": config.neck_rate}]
        optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        model, wrapped = accelerator.prepare(HeadLosses(head), optimizer)
        return cls(data, words, accelerator, out, head, model, wrapped)

    @property
    def config(self) -> HeadTrainingConfig:
        """What was asked for."""
        return self.data.config

    def step(self, step: int, clips: list[HeadClip], began: float) -> Row:
        """One step of AdamW on this process's clips of the batch; the row of the log that tells of it.

        - `began`: when the training began to wait for the clips, by `time.monotonic`.
        """
        waited = time.monotonic() - began
        config = self.config
        share = rate_at(step, config.steps, config.drops)
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * share
        try:
            losses = self.backward(step, clips)
            norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), config.clip_norm))
        except torch.OutOfMemoryError as error:
            raise TrainingError("the device ran out of memory: lower frames or batch_size, or take bf16") from error
        scaled = self.accelerator.scaler is not None
        if not np.isfinite([*losses.values(), 0.0 if scaled else norm]).all():
            self._stop(step, clips, losses, norm)
        self.optimizer.step()
        self.skipped += scaled and self.accelerator.optimizer_step_was_skipped
        self.optimizer.zero_grad(set_to_none=True)
        self.absent += int(losses.pop("absent"))
        row: Row = {"step": step + 1, "loss": losses.pop("total")} | losses
        row |= {"norm": norm, "rate": share, "absent": self.absent} | ({"skipped": self.skipped} if scaled else {})
        seconds = time.monotonic() - began
        if self.data.validation is not None and ((step + 1) % config.val_every == 0 or step + 1 == config.steps):
            row |= self.validate()
        return row | {"seconds": round(seconds, 4), "waiting": round(waited / seconds, 4)}

    def backward(self, step: int, clips: list[HeadClip]) -> dict[str, float]:
        """Gradients of the whole batch, of which `clips` are this process's part; its losses, and what was absent.

        They are divided by the frames of the whole batch that show their object, so that it does not matter how
        the clips are spread over processes and shapes.
        """
        device, accelerator = self.accelerator.device, self.accelerator
        visible = torch.tensor(sum(int(clip.target.visible.sum()) for clip in clips), device=device)
        frames = accelerator.reduce(visible, reduction="sum")
        sums: dict[str, Tensor] = {"absent": torch.tensor(float(sum(clip.absent for clip in clips)), device=device)}
        groups = by_shape(clips)
        for number, group in enumerate(groups, 1):
            batch = make_batch(group, self.words([clip.text for clip in group]), self.config.seed, step, device)
            # Processes share their gradients once a step, with the last of their shapes.
            with nullcontext() if number == len(groups) else accelerator.no_sync(self.model):
                losses = self.model(batch, frames)
                # Accelerate takes the mean over processes, and this is a sum.
                accelerator.backward(losses["total"] * accelerator.num_processes)
            for name, loss in losses.items():
                sums[name] = sums.get(name, torch.zeros((), device=device)) + loss.detach()
        values = accelerator.reduce(torch.stack(list(sums.values())), reduction="sum")
        return dict(zip(sums, values.tolist(), strict=True))

    def validate(self) -> dict[str, float]:
        """J&F, J and F of the validation split; the head is kept as `best` where it beats all before."""
        data, accelerator = self.data, self.accelerator
        assert data.validation is not None and data.val_referrals is not None
        mine = data.val_referrals.usable[accelerator.process_index :: accelerator.num_processes]
        self.head.eval()
        scores = list(score_expressions(self.head, data.validation, mine, self.words))
        self.head.train()
        sums = [sum(score.j for score in scores), sum(score.f for score in scores)]
        total = accelerator.reduce(torch.tensor(sums, dtype=torch.float64, device=accelerator.device), reduction="sum")
        j, f = (total / len(data.val_referrals.usable)).tolist()
        found = dict(zip(SCORES, ((j + f) / 2, j, f), strict=True))
        if self.best is None or found["J&F"] > self.best["J&F"]:
            self.best = found
            if accelerator.is_main_process:
                replace_files(self.out / BEST, lambda part: save_head(self.head, part))
        return found

    def save(self, step: int) -> None:
        """Keeps the head, and what the next step depends on, after so many steps."""
        scaler = self.accelerator.scaler
        state = {
            "step": step,
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "absent": self.absent,
            "skipped": self.skipped,
            "best": self.best,
        }
        replace_files(self.out / LAST, lambda part: save_head(self.head, part))
        save_state(self.out, state)

    def resume(self) -> list[Row]:
        """Takes up the state in the folder, if any; gives the log's rows up to it.

        Every process reads the state before any of them can go on and save the next one.
        """
        state = load_state(self.out)
        self.accelerator.wait_for_everyone()
        if state is not None:
            self.head.load_state_dict(state["head"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            self.absent, self.skipped, self.best = (state[name] for name in ("absent", "skipped", "best"))
        return on_main_process(self.accelerator, lambda: log_until(self.out, state["step"] if state else 0))

    def notes(self) -> tuple[str, ...]:
        """Facts that whoever reads the result should know."""
        facts = (
            (self.absent, "clips never showed their object and were drawn again"),
            (self.skipped, "steps overflowed in float16 and changed nothing"),
        )
        return *(f"{count} {fact}" for count, fact in facts if count), *self.words.notes()

    def _stop(self, step: int, clips: list[HeadClip], losses: Mapping[str, float], norm: float) -> None:
        names = gather_object([dict(clip.name) for clip in clips])
        facts = {"gradient_norm": str(norm)} | {name: str(loss) for name, loss in losses.items()}
        remedy = "lower rate and neck_rate, or look at these clips"
        stop_at(step, names, facts, self.out, remedy=remedy, write=self.accelerator.is_main_process)
