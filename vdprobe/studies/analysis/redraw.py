"""Draws the figures of a finished analysis again: its folder is all that it takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vdprobe.data.hold import hold
from vdprobe.data.parsing import parsing
from vdprobe.data.text_files import read_json
from vdprobe.errors import ConfigError, DataError, VdprobeError, one_line, suggest
from vdprobe.specs.load import build, merge
from vdprobe.studies.analysis.by_name import ANALYSES
from vdprobe.studies.analysis.run import FIGURES, RECORD, SHOWN, draw_figures
from vdprobe.studies.analysis.tables import read_tables

REMEDY = "run the analysis again"


def redraw(folder: Path, out: Path | None = None, over: Mapping[str, Any] | None = None) -> list[Path]:
    """The figures, into `out` or the folder that the analysis drew them into; gives their paths.

    - `over`: `{"shown": ...}`, what figures show in place of what they showed last.

    Raises `DataError` for a folder that holds no finished analysis, `ConfigError` for anything else in `over`.
    """
    if not (folder / RECORD).is_file():
        raise DataError(f"there is no {folder / RECORD}; give a folder of `vdprobe analyze`")
    with parsing(folder / RECORD, "is not the record of an analysis", REMEDY):
        asked = dict(read_json(folder / RECORD)["config"])
        name = str(asked.pop("analysis"))
    if name not in ANALYSES:
        raise DataError(f"{folder} holds the analysis '{name}', which is not known: {suggest(name, ANALYSES)}")
    for key in over or ():
        if key != "shown":
            raise ConfigError(
                f"option '{key}' would change the tables; run `vdprobe analyze {name}` into another --out"
            )
    shown = folder / FIGURES / SHOWN
    asked["shown"] = read_json(shown) if shown.is_file() else {}
    config = build(ANALYSES[name].config, merge(asked, over or {}))
    with hold(out or folder):
        try:
            return draw_figures(ANALYSES[name], read_tables(folder), config, out or folder / FIGURES)
        except (VdprobeError, OSError):
            raise
        except Exception as error:  # of tables with other columns or values than it writes
            told = one_line(str(error), 300) or type(error).__name__
            raise DataError(f"{folder} holds tables that are damaged or were changed ({told}); {REMEDY}") from error
