import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from vdprobe.errors import ConfigError, DataError
from vdprobe.figures.bars import draw_dots
from vdprobe.studies.report.document import Cell, Figure, Lack, Report, Section, Table
from vdprobe.studies.report.read import read_report
from vdprobe.studies.report.report_tables import MOST_ROWS, csv_table, frame_table
from vdprobe.studies.report.write import render, report_folder, write_report
from vdprobe.studies.study.inputs import InputReader
from vdprobe.studies.study.run import run_study

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(1)> & \"'"


class Parsed(HTMLParser):
    """Everything in a page that a browser would fetch or run, and the texts of its cells."""

    def __init__(self, page):
        super().__init__()
        self.fetched, self.scripts, self.cells, self.handlers, self._in = [], 0, [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self._in = tag
        self.scripts += tag == "script"
        if tag == "td":
            self.cells.append("")
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"):
                self.fetched.append(value)
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data):
        if self._in == "td":
            self.cells[-1] += data


def assert_harmless(page):
    parsed = Parsed(page)
    assert [url for url in parsed.fetched if not url.startswith(("#", "data:image/"))] == []
    assert parsed.scripts == 1 and parsed.handlers == []
    assert "@import" not in page and not re.search(r"url\((?!data:)", page)
    assert "default-src 'none'" in page
    return parsed


def summary(rows=3, **changed):
    table = pd.DataFrame(
        {
            "backbone": [f"model {k}" for k in range(rows)],
            "condition": "vd-t",
            "timestep": ["50", "100", "-"][:rows] if rows <= 3 else "50",
            "mean": [0.1 * k for k in range(rows)],
            "low": [0.1 * k - 0.05 for k in range(rows)],
            "high": [0.1 * k + 0.05 for k in range(rows)],
            "count": 7,
        }
    )
    return table.assign(**changed)


def report(**changed):
    tables = (frame_table(summary(), "Means"),)
    values = {
        "question": "What?",
        "name": "run",
        "command": "vdprobe run run.yaml",
        "sections": (Section("one", "One", "analyze one", tables=tables),),
    }
    return Report(**{**values, **changed})


def test_texts_of_datasets_stay_texts(tmp_path):
    row = (Cell(HOSTILE), Cell(HOSTILE))
    section = Section(HOSTILE, HOSTILE, HOSTILE, (), (Table(HOSTILE, (HOSTILE, "b"), (row,), {HOSTILE: HOSTILE}),))
    page = render(
        Report(
            question=HOSTILE,
            name=HOSTILE,
            command=HOSTILE,
            sections=(section, section),
            lacks=(Lack(HOSTILE, HOSTILE, HOSTILE),),
            left=(HOSTILE,),
            notes=(HOSTILE,),
            config=HOSTILE,
            environment=((HOSTILE, HOSTILE),),
        )
    )
    parsed = assert_harmless(page)
    assert parsed.cells[0] == HOSTILE and "<script>alert" not in page


def test_a_report_without_figures_is_small_and_a_figure_is_svg_in_it(tmp_path):
    assert len(render(report())) < 27 * 1024
    rows = pd.DataFrame(
        {
            "label": ["a", HOSTILE],
            "group": "g",
            "mean": [0.1, 0.2],
            "low": [0.0, 0.1],
            "high": [0.2, 0.3],
            "count": 3,
            "control": False,
        }
    )
    draw_dots(rows, tmp_path / "dots.pdf", axis="x", title=HOSTILE, caption="")
    section = Section("one", "One", "analyze", (Figure("dots", tmp_path / "dots.svg", "vdprobe figures one"),))
    page = render(report(sections=(section,)))
    parsed = assert_harmless(page)
    assert [url for url in parsed.fetched if url.startswith("data:image/svg+xml;base64,")]
    assert "vdprobe figures one" in page
    first = (tmp_path / "dots.svg").read_bytes()
    draw_dots(rows, tmp_path / "dots.pdf", axis="x", title=HOSTILE, caption="")
    assert (tmp_path / "dots.svg").read_bytes() == first


def test_the_same_report_is_the_same_bytes_and_is_not_written_again(tmp_path):
    path = write_report(report(), tmp_path / "report.html")
    before = path.stat().st_mtime_ns, path.read_bytes()
    write_report(report(), path)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    with pytest.raises(ConfigError, match="give a name that ends"):
        write_report(report(), tmp_path / "report.pdf")


def test_a_value_stands_with_its_interval_and_what_is_the_same_above():
    table = frame_table(summary(), "Means")
    assert table.columns == ("backbone", "timestep", "mean [95 % interval]")
    assert table.same == {"condition": "vd-t", "videos": "7"}
    assert table.rows[1][2].text == "0.100 [0.050, 0.150]"
    assert table.rows[0][2].span[0] == 0 and table.rows[2][2].span[2] == 1
    empty = frame_table(summary(mean=[0.1, float("nan"), float("inf")], low=float("nan"), high=float("nan")), "Means")
    assert [row[2].text for row in empty.rows] == ["0.100", "", "inf"]
    assert frame_table(summary().iloc[:0], "Means") is None


def test_a_long_table_says_where_the_rest_is(tmp_path):
    summary(MOST_ROWS + 5).to_csv(tmp_path / "summary.csv", index=False)
    table = csv_table(tmp_path / "summary.csv", "Means", file="run/summary.csv")
    assert len(table.rows) == MOST_ROWS and "all of them are in run/summary.csv" in table.notes[0]
    table = csv_table(tmp_path / "summary.csv", "Means", file="run/summary.csv", answer=lambda t: t.head(4))
    assert len(table.rows) == 4 and f"all {MOST_ROWS + 5} are in run/summary.csv" in table.notes[0]


@pytest.mark.parametrize("content", ["mean,low,high\na,b,c\n", "mean\n1,2,3\n4,5,6,7\n"])
def test_a_damaged_table_is_told(tmp_path, content):
    (tmp_path / "summary.csv").write_text(content)
    with pytest.raises(DataError, match=r"summary\.csv is damaged"):
        csv_table(tmp_path / "summary.csv", "Means", file="summary.csv")


def evaluation(folder, shift):
    folder.mkdir(parents=True)
    rows = [f"v{k},{e},1,{0.5 + 0.1 * k + shift},{0.4 + shift}" for k in range(3) for e in range(2)]
    (folder / "rows.csv").write_text("video,expression,object,J,F\n" + "\n".join(rows) + "\n")
    (folder / "report.json").write_text(
        '{"split": "valid", "protocol": "ytvos", "scores": {"J&F": 0.5}, "counts": {}, "missing": ["v9/0"], '
        '"unscored": [], "extra": [], "notes": ["a note"]}'
    )


def study(folder):
    arms = {"one": str(folder / "e1"), HOSTILE: str(folder / "e2")}
    evaluations = {"one": str(folder / "e1")}
    return {
        "title": f"Which is better? {HOSTILE}",
        "steps": {
            "collect": {
                "do": "collect",
                "config": {"arms": arms, "controls": ["one"], "paper": {"one": 44.5}, "title": "t"},
            },
            "compare": {
                "do": "compare",
                "config": {"evaluations": evaluations, "published": {"VD-IT": {"one": {"J&F": 12.5}}}},
            },
        },
    }


@pytest.fixture
def done(tmp_path):
    evaluation(tmp_path / "e1", 0.0)
    evaluation(tmp_path / "e2", 0.1)
    run_study(study(tmp_path), tmp_path / "run")
    return tmp_path / "run"


def test_a_study_is_one_page_with_the_papers_numbers_beside(done):
    path = report_folder(done)
    page = path.read_text("utf-8")
    parsed = assert_harmless(page)
    assert "Which is better?" in page and "44.500" in page and "12.500" in page
    assert HOSTILE in parsed.cells
    assert "torch" in page and "vdprobe run run.yaml" in page and "evaluations:" in page
    assert str(done) not in page.split("Configuration")[0]  # where it lies on this machine is no result
    first = path.read_bytes()
    run_study(study(done.parent), done)
    assert report_folder(done).read_bytes() == first


def test_what_is_not_done_is_said(done):
    (done / "compare" / "done.json").unlink()
    page = report_folder(done).read_text("utf-8")
    assert "Not done yet:" in page and "compare." in page


def test_failures_are_what_was_not_measured(done):
    (done / "collect" / "failures.csv").write_text(f'where,error\nvideo 3,"no masks, {HOSTILE.replace(chr(34), "")}"\n')
    assert read_report(done).lacks[0].where == "video 3"
    assert "What was not measured, and why" in report_folder(done).read_text("utf-8")


def test_a_report_changes_no_input_of_a_study(done):
    reader = InputReader(str(done.parent))
    before = reader.look({"path": str(done)})
    report_folder(done)
    assert InputReader(str(done.parent)).look({"path": str(done)}) == before


def test_the_command_writes_a_report_or_says_why_not(vdprobe, done, tmp_path):
    status, told, _ = vdprobe("report", done)
    assert status == 0 and str(done / "report.html") in told
    status, told, _ = vdprobe("report", done, "--out", tmp_path / "sent.html")
    assert status == 0 and (tmp_path / "sent.html").read_bytes() == (done / "report.html").read_bytes()
    (tmp_path / "other").mkdir()
    for arguments, line in (
        ((tmp_path / "other",), "holds neither a study nor an analysis"),
        ((done, "--out", tmp_path / "sent.pdf"), "is no .html file"),
    ):
        status, _, error = vdprobe("report", *arguments)
        assert status in (1, 2) and line in error and error.count("\n") == 1
    (done / "study.json").write_text("[1]")
    status, _, error = vdprobe("report", done)
    assert status == 1 and "is damaged" in error and error.count("\n") == 1


def test_a_run_ends_with_its_report(vdprobe, tmp_path):

    evaluation(tmp_path / "e1", 0.0)
    evaluation(tmp_path / "e2", 0.1)
    (tmp_path / "study.yaml").write_text(json.dumps(study(tmp_path)))
    status, _, told = vdprobe("run", tmp_path / "study.yaml", "--out", tmp_path / "run", "--workers", 1)
    assert status == 0, told
    assert f"report: {tmp_path / 'run' / 'report.html'}" in told
    assert_harmless((tmp_path / "run" / "report.html").read_text("utf-8"))


def analysis_folder(folder, rows=4):
    (folder / "figures").mkdir(parents=True)
    config = {"analysis": "propagation", "features": {"videos": {"path": HOSTILE}}}
    record = {"config": config, "model": {}, "data": "x", "versions": {"torch": "2.13"}, "machine": "x86_64"}
    (folder / "analysis.json").write_text(json.dumps(record))
    table = summary(rows).assign(metric="J&F", control=False, noise="-", tap="unet.up.1", seeds=1, seed_sd=float("nan"))
    table.to_csv(folder / "summary.csv", index=False)
    (folder / "failures.csv").write_text("where,error\nvideo 3,has no masks\n")
    for kind in ("pdf", "svg", "png"):
        (folder / "figures" / f"bars.{kind}").write_bytes(b"<svg/>")
    return folder


def test_an_analysis_alone_is_a_report_with_the_command_for_its_figure(vdprobe, tmp_path):
    folder = analysis_folder(tmp_path / "it's found")
    status, _, error = vdprobe("report", folder)
    assert status == 0, error
    page = (folder / "report.html").read_text("utf-8")
    parsed = assert_harmless(page)
    assert "Do features follow objects" in page and "has no masks" in page and "2.13" in page
    assert any(url.startswith("data:image/svg+xml;base64,") for url in parsed.fetched)
    assert "vdprobe figures &#39;it&#39;" in page  # quoted for a shell, escaped for a page
    assert str(tmp_path) not in page
    first = (folder / "report.html").read_bytes()
    vdprobe("report", folder)
    assert (folder / "report.html").read_bytes() == first


def test_an_analysis_that_was_stopped_is_said_to_be_left(tmp_path):
    folder = analysis_folder(tmp_path / "found")
    (folder / "summary.csv").unlink()
    assert read_report(folder).left == ("propagation",)
