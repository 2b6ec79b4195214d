"""What a head is trained on and measured on: clips, their features and their expressions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from vdprobe.data.mirrored_text import text_for
from vdprobe.errors import StoreError
from vdprobe.extraction.clip_work import clips_by_video
from vdprobe.extraction.plan import Plan, make_plan, make_specs
from vdprobe.extraction.report import Report
from vdprobe.extraction.run import extract
from vdprobe.extraction.stores import make_store, store_if_there, store_root
from vdprobe.head.config import Four
from vdprobe.specs.canonical import canonical_hash
from vdprobe.training.cached_clips import CachedClips, require_items
from vdprobe.training.head_clips import HeadClips, find_cached_referrals, long_clips
from vdprobe.training.head_config import HeadTrainingConfig
from vdprobe.training.referring_clips import Referrals

HOW = "add --extract, or run `vdprobe extract` with this configuration's features"


@dataclass(frozen=True)
class HeadPlans:
    """What must be in the store: the views of the videos to train on, and those to measure."""

    config: HeadTrainingConfig
    views: tuple[Plan, ...]
    validation: Plan | None

    @classmethod
    def make(cls, config: HeadTrainingConfig) -> "HeadPlans":
        """Raises as `make_plan` does."""
        first = make_plan(config.features)
        views = [first]
        for view in config.all_views[1:]:
            specs, levels = make_specs(view, first.model)
            views.append(replace(first, config=view, specs=specs, levels=levels))
        return cls(config, tuple(views), make_plan(config.validation) if config.validation else None)

    @property
    def all(self) -> tuple[Plan, ...]:
        """Every plan."""
        return *self.views, *((self.validation,) if self.validation else ())

    def extract(self, on_progress: Callable[[Report], None] | None = None) -> None:
        """Fills the store with what it lacks. Raises `StoreError` where it cannot."""
        store = make_store(self.config.features.store)
        for plan in self.all:
            report = extract(plan, store, on_progress=on_progress)
            failures = report.failures[len(plan.failures) :]  # the plan's own come first, and are not of the store
            if report.stopped or failures:
                first = report.stopped or f"{failures[0].where}: {failures[0].error}"
                raise StoreError(
                    f"the extraction of {plan.specs[0].resize} did not end ({len(failures)} failures): {first}"
                )

    def describe(self) -> dict[str, Any]:
        """By what the features and clips are told apart."""
        clips = [[[clip.video.id, clip.digest, clip.frames] for clip in plan.clips] for plan in self.all]
        return {"features": [[spec.key for spec in plan.specs] for plan in self.all], "clips": canonical_hash(clips)}


@dataclass(frozen=True)
class HeadData:
    """Clips whose features are all in the store.

    - `train`: the views. `referrals`: their expressions. `validation`, `val_referrals`: the same of the split
      that is measured, None without one.
    """

    config: HeadTrainingConfig
    train: tuple[CachedClips, ...]
    referrals: Referrals
    validation: CachedClips | None
    val_referrals: Referrals | None

    @classmethod
    def open(cls, plans: HeadPlans) -> "HeadData":
        """Raises `StoreError` where the store lacks something, `DataError` where a split has nothing usable."""
        config = plans.config
        store = store_if_there(config.features.store)
        if store is None:
            raise StoreError(f"there is no feature store at {store_root(config.features.store)}: {HOW}")
        read = partial(
            CachedClips.of, store=store, timestep=config.timestep, levels=config.levels, frame_rule=config.frame_rule
        )
        cached = [read(plan) for plan in plans.all]
        require_items(cached, HOW)
        views, validation = tuple(cached[: len(plans.views)]), cached[-1] if plans.validation else None
        return cls(
            config,
            views,
            find_cached_referrals(views[0]),
            validation,
            find_cached_referrals(validation) if validation else None,
        )

    @property
    def level_widths(self) -> Four:
        """Channels of the levels."""
        return self.train[0].widths()

    @property
    def texts(self) -> list[str]:
        """All that the head's text encoder has to read."""
        texts = [
            text_for(referral.expression.text, view.plan.config.resize)
            for view in self.train
            for referral in self.referrals.usable
        ]
        if self.val_referrals is not None:
            texts += [referral.expression.text for referral in self.val_referrals.usable]
        return list(dict.fromkeys(texts))

    def clips(self) -> HeadClips:
        """What is drawn from."""
        config = self.config
        return HeadClips(
            views=self.train,
            referrals=self.referrals.usable,
            clips=clips_by_video(self.train[0].clips),
            frames=config.frames,
            reverse=config.reverse,
            batch_size=config.batch_size,
            seed=config.seed,
        )

    def notes(self) -> tuple[str, ...]:
        """What of the data is not used, or not as it was asked for."""
        by_video, frames = clips_by_video(self.train[0].clips), self.config.frames
        undrawn = sum(len(clips) - len(long_clips(clips, frames)) for clips in by_video.values())
        short = sum(max(len(clip.frames) for clip in clips) < (frames or 1) for clips in by_video.values())
        facts = [
            (undrawn, "clips are shorter than their video's others and are not drawn"),
            (short, f"videos have no clip of {frames} frames, and shorter ones are drawn"),
        ]
        for referrals, split in ((self.referrals, "training"), (self.val_referrals, "validation")):
            if referrals is not None:
                facts.append((referrals.unmasked, f"videos of the {split} split have no masks and were left out"))
                what = f"videos of the {split} split have masks of 0 and 255 alone, and 255 is read as object 1"
                facts.append((referrals.count_one_object(), what))
                what = f"expressions of the {split} split do not say which object they mean and were left out"
                facts.append((referrals.unlabelled, what))
        return tuple(f"{count} {fact}" for count, fact in facts if count)
