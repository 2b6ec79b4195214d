"""What a step of a study, or an analysis alone, has left in its folder, as a section of a report."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vdprobe.data.text_files import read_json
from vdprobe.studies.analysis.by_name import ANALYSES
from vdprobe.studies.analysis.run import FIGURES, PICTURES
from vdprobe.studies.analysis.table_files import read_table
from vdprobe.studies.report.document import Figure, Lack, Section, Table
from vdprobe.studies.report.report_tables import csv_table, frame_table, mapping_table, told

QUESTIONS = {
    "consistency": "Does an object keep its feature over time?",
    "roi-similarity": "Are features of one object more alike than those of two?",
    "propagation": "Do features follow objects through a clip?",
    "clusters": "Do clusters of features stay with objects?",
    "probe": "What can a linear probe read from the features?",
    "layers": "What do the layers' features look like?",
    "lighting": "How much light do the features bear?",
    "stability": "Do predicted masks flicker?",
}
"""Of the analyses, by name."""


def analysis_section(folder: Path, name: str, analysis: str, shown: str) -> Section:
    """An analysis; `shown` is what its folder is called in commands."""
    command = f"vdprobe figures {shown}"
    figures = [Figure(path.stem, path, command) for path in _drawn(folder / FIGURES)]
    again = "again = the command that made the folder"
    figures += [Figure(path.stem, path, again) for path in sorted((folder / PICTURES).glob("*.png"))]
    summary, differences = folder / "summary.csv", folder / "differences.csv"
    known = ANALYSES.get(analysis)
    headline = None if known is None else known.headline

    def beside(table: pd.DataFrame) -> pd.DataFrame:
        """The differences between rows such as those that answer the question."""
        if known is None or headline is None:
            return table
        answer = headline(read_table(summary))
        for key in known.keys:
            if key in table and key in answer:
                table = table[table[key].isin(answer[key].unique())]
        return table

    tables = (
        csv_table(summary, "Means", file=f"{shown}/summary.csv", answer=headline),
        csv_table(differences, "Paired differences", file=f"{shown}/differences.csv", open_=False, answer=beside),
    )
    return Section(name, QUESTIONS.get(analysis, analysis), f"analyze {analysis}", tuple(figures), _there(*tables))


def step_section(folder: Path, name: str, do: str, done: Mapping[str, Any], shown: str, command: str) -> Section:
    """A step of a study, from what it said when it was done and what lies in its folder."""
    config, result = done.get("config") or {}, done.get("result") or {}
    if do == "analyze":
        return analysis_section(folder, name, str(config.get("analysis")), shown)
    figures = tuple(Figure(path.stem, path, command) for path in _drawn(folder))
    tables: tuple[Table | None, ...] = ()
    if do == "collect":
        with told(folder / "summary.csv"):
            tables = _collected(folder, config, shown)
    elif do == "compare":
        with told(folder / "table.csv"):
            tables = (_compared(folder, shown),)
    elif do == "evaluate":
        tables = (mapping_table("Scores", ("score", "value"), result.get("scores") or {}),)
    facts = tuple(_facts(result)) if not tables else ()
    return Section(name, name, do, figures, _there(*tables), facts)


def step_lacks(folder: Path, name: str, done: Mapping[str, Any]) -> Iterator[Lack]:
    """What a step could not measure, train on, predict or score."""
    if (folder / "failures.csv").is_file():
        with told(folder / "failures.csv"):
            rows = [(row["where"], row["error"]) for row in read_table(folder / "failures.csv").to_dict("records")]
        for where, error in rows:
            yield Lack(name, str(where), str(error))
        return
    result = done.get("result") or {}
    for failure in result.get("failures") or ():
        yield Lack(name, str(failure), "")
    for kind, why in (("missing", "no prediction: scored 0"), ("unscored", "no usable truth: not scored")):
        for where in result.get(kind) or ():
            yield Lack(name, str(where), why)


def step_notes(folder: Path, name: str, done: Mapping[str, Any]) -> Iterator[str]:
    """What a reader of a step's results should know."""
    result = done.get("result") or {}
    notes = list(result.get("notes") or ())
    if (folder / "report.json").is_file():
        notes += read_json(folder / "report.json").get("notes") or ()
    for note in dict.fromkeys(map(str, notes)):
        yield f"{name}: {note}"


def _drawn(folder: Path) -> list[Path]:
    """The figures of a folder, each as SVG where it is there (older results have none) and else as PNG."""
    stems = {path.with_suffix("") for path in folder.glob("*.pdf")}
    found = []
    for stem in sorted(stems):
        kinds = (stem.with_name(f"{stem.name}{kind}") for kind in (".svg", ".png"))
        found += [path for path in kinds if path.is_file()][:1]
    return found


def _collected(folder: Path, config: Mapping[str, Any], shown: str) -> tuple[Table | None, ...]:
    if not (folder / "summary.csv").is_file():
        return ()
    summary, paper = read_table(folder / "summary.csv"), config.get("paper") or {}
    if paper:
        score = "&".join(config.get("metrics") or ("J", "F"))
        beside = [paper.get(r["condition"]) if r["metric"] == score else None for r in summary.to_dict("records")]
        summary = summary.assign(paper=pd.Series(beside, index=summary.index, dtype=float))
    return (
        frame_table(summary, "Means, and the paper's numbers" if paper else "Means", file=f"{shown}/summary.csv"),
        csv_table(folder / "differences.csv", "Paired differences", file=f"{shown}/differences.csv", open_=False),
    )


def _compared(folder: Path, shown: str) -> Table | None:
    """Our scores with the published ones beside them, a row a score."""
    path = folder / "table.csv"
    if not path.is_file():
        return None
    table = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in ("value", "low", "high")})
    keys = ["evaluation", "protocol", "split", "score"]
    sources = [source for source in dict.fromkeys(table["source"]) if source != "ours"]
    own = table[table["source"] == "ours"].drop(columns="source")
    for source in sources:
        theirs = table[table["source"] == source].set_index(keys)["value"]
        own = own.assign(**{source: [theirs.get(tuple(row[key] for key in keys)) for row in own.to_dict("records")]})
    return frame_table(own, "Scores, and published ones" if sources else "Scores", file=f"{shown}/table.csv")


def _facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in result.items():
        if name in ("figures", "failures", "notes", "missing", "unscored") or value in (None, [], {}):
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        yield name.replace("_", " "), _short(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _there(*tables: Table | None) -> tuple[Table, ...]:
    return tuple(table for table in tables if table is not None)
