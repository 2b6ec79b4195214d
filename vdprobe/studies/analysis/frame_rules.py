"""Which rows of a summary are of maps that stand for several frames, and what tables and captions say of them."""

from collections.abc import Sequence

import pandas as pd

from vdprobe.specs.spans import FrameRule, is_frame_by_frame
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.cells import NONE, View

RULE = "frame_rule"
"""The column that holds the rule where a tap's maps stand for several frames, and `-` elsewhere; there is none where no
tap has such maps."""
Taps = frozenset[tuple[str, str]]
"""Backbones and taps."""


def grouped_taps(views: Sequence[View], store: FeatureStore) -> Taps:
    """The taps whose maps stand for several frames in some clip."""
    found: set[tuple[str, str]] = set()
    for view in views:
        for spec in view.specs:
            seen: set[int] = set()  # lengths of clips, which decide how frames are grouped
            for clip in view.clips:
                if len(clip.frames) in seen:
                    continue
                item = next((item for item in clip.items(spec) if store.is_committed(spec.key, item)), None)
                if item is not None:
                    seen.add(len(clip.frames))
                    stored = store.get(spec.key, item)
                    taps = (tap for tap in spec.taps if not is_frame_by_frame(stored.spans(tap)))
                    found.update((view.backbone, tap) for tap in taps)
    return frozenset(found)


def with_rule(summary: pd.DataFrame, grouped: Taps, rule: FrameRule) -> pd.DataFrame:
    """The summary with a column that says so, before its numbers; as it is where no tap has such maps."""
    if not grouped:
        return summary
    cells = zip(summary["backbone"], summary["tap"], strict=True)
    told = summary.copy()
    told.insert(list(summary).index("mean"), RULE, [rule if cell in grouped else NONE for cell in cells])
    return told


def rule_words(rows: pd.DataFrame) -> str:
    """The end of a caption; nothing where each map of the rows is of one frame."""
    rules = [str(rule) for rule in rows[RULE].unique() if rule != NONE] if RULE in rows else []
    if not rules:
        return ""
    if rules[0] == "ends":
        return " Where a map stands for several frames, only the last of them is looked at (rule 'ends')."
    return f" Where a map stands for several frames, a frame's features are by rule '{rules[0]}'."
