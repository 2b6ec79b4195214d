"""A summary that fits on a screen: one timestep and noise, and no column that says the same in every row."""

import pandas as pd

from vdprobe.studies.analysis.cells import NONE
from vdprobe.studies.analysis.config import Shown
from vdprobe.studies.analysis.frame_rules import RULE
from vdprobe.studies.analysis.series import shown_place


def short_table(summary: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """The rows at the shown timestep and noise, and those that have none.

    A control that has neither of the shown ones keeps its own. Left out are columns of names with one value, but for
    `backbone` and `frame_rule`; `seed_sd` of one seed; and `absent` where every video has a value.
    """
    place = shown_place(summary, shown)
    for name in ("timestep", "noise"):
        wanted = summary[name] == place[name]
        has = wanted.groupby(summary["backbone"]).transform("any")
        summary = summary[wanted | (summary[name] == NONE) | ~has]
    names = list(summary)[: list(summary).index("mean")]
    told = [name for name in names if name in ("backbone", RULE) or summary[name].nunique() > 1]
    numbers = ["mean", "low", "high", *(["seed_sd"] if (summary["seeds"] > 1).any() else [])]
    counts = ["count", *(["absent"] if summary["absent"].any() else [])]
    return summary[[*told, *numbers, *counts]].round(dict.fromkeys(numbers, 4)).reset_index(drop=True)
