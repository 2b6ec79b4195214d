"""The report of the demo."""

from pathlib import Path

from vdprobe.data.text_files import read_text
from vdprobe.specs.environment import environment
from vdprobe.studies.demo import FOLLOWED, TIMESTEP, Demo
from vdprobe.studies.report.document import Cell, Figure, Lack, Report, Section, Table
from vdprobe.studies.report.write import NAME, write_report

COMMAND = "vdprobe demo"
TITLES = {
    "layers": "Layers in the order of the forward pass, as three principal components",
    "conditions": "One layer under three conditions, and with a random UNet",
    "similarity": "Likeness to the marked point",
}


def write_demo_report(made: Demo, folder: Path) -> Path:
    """Writes the report of what the demo made in a folder; gives its path."""
    return write_report(demo_report(made), folder / NAME)


def demo_report(made: Demo) -> Report:
    """What the demo shows: pictures of the features, and one number with its controls."""
    rows = tuple((Cell(name), Cell(f"{value:.3f}")) for name, value in made.scores.items())
    notes = ("A few objects say little: experiments/ has the same on whole splits, with intervals.",)
    table = Table("Mean J&F over the objects, higher is better", ("feature", "J&F"), rows, notes=notes)
    pictures = {name: Figure(TITLES.get(name, name), path, COMMAND) for name, path in made.pictures.items()}
    followed = Section(
        "propagation",
        f"Do features follow objects? Labels of the first frame, carried on by nearest neighbours (t = {TIMESTEP})",
        FOLLOWED,
        (pictures.pop("similarity"),),
        (table,),
    )
    seen = Section("features", "What do the features look like?", "pictures", tuple(pictures.values()))
    versions = environment()
    return Report(
        question="What does a small text-to-video model know about three made videos?",
        name="demo",
        command=COMMAND,
        sections=(followed, seen),
        lacks=tuple(Lack("extract", failure.where, failure.error) for failure in made.report.failures),
        config=read_text(made.spec),
        environment=(*versions["versions"].items(), ("machine", str(versions["machine"]))),
    )
