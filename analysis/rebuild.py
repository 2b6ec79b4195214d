"""Draws every figure of studies again, and sets the paper's numbers and claims beside theirs, from result tables alone.

    python analysis/rebuild.py runs --out analysis/output

Give folders that `vdprobe run` wrote, or folders of such; from where it was run, since a study names results of others
by their paths. Written are `figures/STUDY/STEP/` (PDF, PNG and CSV), `side_by_side.md`, `side_by_side.csv` and
`claims.csv`. Exit status: 0 done, 1 a step is not there or cannot be drawn (the rest is), 2 usage.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from found_studies import find_studies
from measurements import TABLED, draw, read_measurement
from paper import read_claims, read_numbers
from report import StepState, write_report
from side_by_side import claim_rows, number_rows

from vdprobe.errors import VdprobeError
from vdprobe.studies.analysis.table_files import write_table


def rebuild(places: Sequence[Path], out: Path) -> list[StepState]:
    """Writes all there is to write into the folder `out`; tells of each step with tables what became of it.

    Raises `DataError` for a place without a study.
    """
    studies = find_studies(places)
    found, states = [], []
    for study in studies:
        for task in study.tasks:
            if task.do not in TABLED:
                continue
            name, title = f"{study.name}/{task.folder}", study.title
            try:
                found.append(one := read_measurement(study, task))
                states.append(StepState(name, title, tuple(draw(one, out / "figures" / name)), one.lost))
            except VdprobeError as error:
                states.append(StepState(name, title, (), 0, str(error)))
    numbers = read_numbers()
    beside = number_rows(numbers, found, studies)
    answers = claim_rows(read_claims(), numbers, found, studies)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "side_by_side.csv", beside)
    write_table(out / "claims.csv", answers)
    write_report(beside, answers, states, out / "side_by_side.md")
    return states


def main() -> None:
    """Exit status: 0 done, 1 failed, 2 usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of studies, or folders that hold such")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output")
    options = parser.parse_args()
    try:
        states = rebuild(options.runs, options.out)
    except VdprobeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    for state in states:
        for path in state.figures:
            print(path)
        if state.error:
            print(f"failed: {state.name}: {state.error}", file=sys.stderr)
        elif not state.figures:
            print(
                f"no figure: {state.name}: a comparison has none, and intervals need two videos with a value",
                file=sys.stderr,
            )
    print(options.out / "side_by_side.md")
    sys.exit(1 if any(state.error for state in states) else 0)


if __name__ == "__main__":
    main()
