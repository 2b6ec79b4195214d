import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vdprobe.errors import DataError
from vdprobe.figures import bars
from vdprobe.figures.bars import draw_dots
from vdprobe.figures.style import COLOURS, CONTROL, DPI, WIDTH


def table(groups=("vd-it", "shuffled"), labels=("vae.down.2", "unet.up.1")):
    rows = [
        {"label": label, "group": group, "mean": 0.8 - 0.1 * i - 0.02 * k, "count": 40 - 2 * k}
        for k, label in enumerate(labels)
        for i, group in enumerate(groups)
    ]
    found = pd.DataFrame(rows)
    return found.assign(low=found["mean"] - 0.03, high=found["mean"] + 0.05, control=found["group"] == "shuffled")


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws a table and gives the figure, as it is saved."""

    def draw(rows, **options):
        figures = []
        real = bars.add_caption
        monkeypatch.setattr(bars, "add_caption", lambda figure, text: (figures.append(figure), real(figure, text)))
        draw_dots(rows, tmp_path / "a.b", axis="IoU", **options)
        return figures[0]

    return draw


def dots(axes):
    """(mean, y, colour, face) of each dot, from the top."""
    found = [line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_marker() != "None"]
    return [(*(float(v[0]) for v in line.get_data()), line.get_color(), line.get_markerfacecolor()) for line in found]


def test_each_row_is_a_dot_within_its_interval(drawn):
    rows = table()
    (axes,) = drawn(rows).axes
    found = dots(axes)
    assert [dot[0] for dot in found] == rows["mean"].tolist()
    ends = {float(line.get_ydata()[0]): list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2}
    assert [ends[dot[1]] for dot in found] == rows[["low", "high"]].values.tolist()
    ys = [dot[1] for dot in found]
    assert ys == sorted(ys)
    assert axes.yaxis_inverted()  # the first label is on top
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["vae.down.2", "unet.up.1"]
    assert axes.get_yticks().tolist() == pytest.approx([np.mean(ys[:2]), np.mean(ys[2:])])


def test_controls_are_hollow_and_grey_whether_groups_or_labels(drawn):
    (axes,) = drawn(table()).axes
    assert {dot[2:] for dot in dots(axes)} == {(COLOURS[0], COLOURS[0]), (CONTROL, "white")}
    by_label = table(groups=("vd-it",)).assign(control=[False, True])
    (axes,) = drawn(by_label).axes
    assert [dot[2:] for dot in dots(axes)] == [(COLOURS[0], COLOURS[0]), (CONTROL, "white")]


def test_a_group_that_a_label_lacks_leaves_no_hole(drawn):
    rows = table(groups=("vd-it", "shuffled", "vd-t")).drop(index=2)  # the first label has no vd-t
    figure = drawn(rows)
    ys = [dot[1] for dot in dots(figure.axes[0])]
    assert sorted(np.diff(sorted(ys)).round(6)) == pytest.approx([bars.ROW] * 3 + [bars.ROW + bars.GAP])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["vd-it", "vd-t", "shuffled"]


def test_the_caption_counts_the_samples_and_names_what_is_marked(drawn):
    def caption(rows, **options):
        return " ".join(drawn(rows, **options).get_supxlabel().split())

    rows = table()
    assert caption(rows, line=("chance", 0.5)) == (
        "Dots: means; lines: 95 % intervals. Hollow grey: controls. Dashed: chance (0.5). n = 38 to 40 videos."
    )
    plain = rows[~rows["control"]].assign(count=7)
    assert caption(plain, samples="seeds") == "Dots: means; lines: 95 % intervals. n = 7 seeds."


def test_floors_are_ticks_on_the_lane_of_their_dot(drawn):
    rows = table().assign(floor=[0.1, 0.2, 0.3, np.nan])
    figure = drawn(rows, caption="What is shown.", floor="the same frames in any order")
    (axes,) = figure.axes
    ticks = [line for line in axes.lines if line.get_marker() == "|"]
    placed = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in ticks]
    assert placed[:3] == [(floor, dot[1]) for floor, dot in zip([0.1, 0.2, 0.3], dots(axes)[::2], strict=False)]
    text = " ".join(figure.get_supxlabel().split())
    assert text.startswith("What is shown. Dots: means;")
    assert "Ticks: the same frames in any order." in text
    assert not [line for line in drawn(rows).axes[0].lines if line.get_marker() == "|"]


@pytest.mark.parametrize("groups", [("vd-it",), ("vd-it", "shuffled"), ("vd-it", "vd-t", "vd-i", "concat", "shuffled")])
def test_nothing_overlaps_or_leaves_the_page(drawn, groups):
    figure = drawn(table(groups=groups), title="Object or background, by layer", line=("chance", 0.5))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    page, plot = figure.bbox, axes.get_window_extent()
    above = [text for text in (figure._suptitle, *figure.legends) if text is not None]
    for part in (*above, figure._supxlabel, axes.xaxis.label, *axes.get_yticklabels()):
        box = part.get_window_extent()
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1
        assert part not in above or box.y0 >= plot.y1
    assert figure._supxlabel.get_window_extent().y1 <= axes.xaxis.label.get_window_extent().y0
    assert plot.height / figure.dpi >= len(groups) * 2 * bars.ROW  # a dot's lane keeps about its height


def test_three_files_of_the_page_s_width(tmp_path):
    rows = table()
    for name in ("unet.up.1", "b.png"):
        draw_dots(rows, tmp_path / name, axis="IoU")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"{stem}.{kind}" for stem in ("unet.up.1", "b") for kind in ("pdf", "svg", "png", "csv")
    )
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.width == round(WIDTH * DPI)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "b.csv"), rows)
    assert (tmp_path / "b.pdf").read_bytes() == (tmp_path / "unet.up.1.pdf").read_bytes()


def test_errors_say_what_to_do(tmp_path):
    rows = table()
    wrong = {
        "no column 'control', nothing to draw; give rows of label, group": rows.drop(columns="control"),
        "no row, nothing to draw": rows[:0],
        "two rows for 'vae.down.2', 'vd-it'; average them": pd.concat([rows, rows[:1]]),
        r"'unet.up.1', 'vd-it': 0.78 is not within its interval 0.9 to 0.83": rows.assign(low=[0.0, 0.0, 0.9, 0.0]),
        "'vae.down.2', 'vd-it': nan is not within": rows.assign(mean=[np.nan, 0.7, 0.78, 0.68]),
        "8 series cannot be told apart, 7 can; split the table": table(groups=tuple("abcdefgh")),
    }
    for message, bad in wrong.items():
        with pytest.raises(DataError, match=message):
            draw_dots(bad, tmp_path / "a", axis="IoU")
    assert not list(tmp_path.iterdir())
