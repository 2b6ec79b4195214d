"""A report as one self-contained HTML file: the same results give the same bytes."""

import base64
import hashlib
import io
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from vdprobe.errors import ConfigError, DataError
from vdprobe.studies.report.document import Figure, Report
from vdprobe.studies.report.read import read_report
from vdprobe.training.checkpoint import replace_file

NAME = "report.html"
WIDEST = 1600
"""Pixels of a picture in a report."""


def report_folder(folder: Path, out: Path | None = None) -> Path:
    """Writes the report of a study's or an analysis's folder, into it or to `out`; gives its path.

    Raises `DataError` for a folder that holds neither, `ConfigError` for an `out` that is no .html file.
    """
    return write_report(read_report(folder), out or folder / NAME)


def write_report(report: Report, out: Path) -> Path:
    """Writes a report. Raises `ConfigError` for a path that is no .html file."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{out} is no .html file; give a name that ends in .html")
    content = render(report).encode("utf-8", "backslashreplace")  # halves of characters, which texts may hold
    if not (out.is_file() and out.read_bytes() == content):
        replace_file(out, lambda part: part.write_bytes(content))
    return out


def render(report: Report) -> str:
    """The page. Whatever names and texts hold is text in it, and a policy in it forbids every request."""
    folder = files("vdprobe.studies.report") / "page"
    page, style, script = ((folder / name).read_text("utf-8") for name in ("report.html", "report.css", "report.js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["picture"] = _picture
    hash_ = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # styles and script are this package's own files, and alone are not escaped
    return environment.from_string(page).render(report=report, style=Markup(style), script=Markup(script), hash=hash_)


def _picture(figure: Figure) -> str:
    """A figure as an address that holds it: SVG as it is, a large picture smaller."""
    try:
        content = figure.path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {figure.path}: {error.strerror}; make the figure again") from error
    if figure.path.suffix == ".svg":
        return f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        if image.width > WIDEST:
            small, out = image.convert("RGB"), io.BytesIO()
            small.thumbnail((WIDEST, 10 * WIDEST), Image.Resampling.LANCZOS)
            small.save(out, "JPEG", quality=85)
            return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
