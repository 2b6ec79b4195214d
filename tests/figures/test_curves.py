from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vdprobe.errors import DataError
from vdprobe.figures.curves import _counts, _draw_line, _spread, _ticks, draw_curves
from vdprobe.figures.style import COLOURS, DPI, WIDTH, SeriesStyle

LABELS = {"x": "gap", "x_label": "Frame gap", "y_label": "Cosine", "caption": "What is shown."}


def lines(*names):
    """Straight lines, a tenth apart."""
    return pd.DataFrame(
        [
            {"series": n, "gap": g, "mean": i / 10, "low": i / 10 - 0.02, "high": i / 10 + 0.02, "count": 40}
            for i, n in enumerate(names)
            for g in range(1, 8)
        ]
    )


def pixels(path, colour):
    """How many pixels have about this colour, and the columns and rows they stand in."""
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    rows, columns = np.nonzero(abs(image - wanted).max(axis=2) < 12)
    return len(rows), columns, rows


def test_a_figure_is_drawn_with_its_table_beside_it(tmp_path):
    """Each series in its colour, larger values higher."""
    table = lines(*[f"series {i}" for i in range(len(COLOURS))])
    draw_curves(table, tmp_path / "curve.png", **LABELS)
    heights = []
    for colour in COLOURS[:-1]:  # black is that of the letters too
        count, columns, rows = pixels(tmp_path / "curve.png", colour)
        assert count > 500
        assert np.ptp(columns) > 400
        heights.append(np.median(rows))
    assert heights == sorted(heights, reverse=True)
    with Image.open(tmp_path / "curve.png") as image:
        assert image.width == round(WIDTH * DPI)
    assert (tmp_path / "curve.pdf").read_bytes().startswith(b"%PDF")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "curve.csv"), table)


def test_a_line_and_its_band_are_those_of_the_table():
    table = pd.DataFrame({"gap": [5, 1, 3], "mean": [0.5, 0.1, 0.2], "low": [0.4, 0.0, 0.1], "high": [0.7, 0.2, 0.4]})
    axes = Figure().subplots()
    assert _draw_line(axes, table, "gap", SeriesStyle("#009E73", "^")) == (5, 0.5)
    (line,), (band,) = axes.lines, axes.collections
    assert line.get_xydata().tolist() == [[1, 0.1], [3, 0.2], [5, 0.5]]
    assert (line.get_color(), line.get_marker()) == ("#009E73", "^")
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert corners == {(1, 0.0), (1, 0.2), (3, 0.1), (3, 0.4), (5, 0.4), (5, 0.7)}


def test_nothing_leaves_the_picture(tmp_path):
    """Long labels of lines that end at one place, and a long caption: all of them inside a white margin."""
    table = lines(*[f"the features of some random network or other {i}" for i in range(7)])
    table["mean"] = 0.5
    draw_curves(table, tmp_path / "full.png", **(LABELS | {"caption": "A caption of many words. " * 12}))
    image = np.asarray(Image.open(tmp_path / "full.png").convert("L"))
    assert min(image[0].min(), image[-1].min(), image[:, 0].min(), image[:, -1].min()) == 255
    assert len(image) > 3.8 * DPI  # room for the caption is not taken from the lines


def test_labels_never_overlap_and_stay_within():
    heights = [10.0, 20.0, 10.0, 30.0]
    for wanted in ([5.0, 5.0, 5.0, 5.0], [100.0, 99.0, 98.0, 0.0], [0.0, 1.0, 50.0, 2.0], [40.0, 60.0, 41.0, 61.0]):
        placed = _spread(wanted, heights, 0.0, 100.0)
        edges = sorted((middle - h / 2, middle + h / 2) for middle, h in zip(placed, heights, strict=True))
        assert all(lower[1] <= upper[0] for lower, upper in pairwise(edges))
        assert edges[0][0] >= 0
        assert edges[-1][1] <= 100
        assert all(placed[a] < placed[b] for a in range(4) for b in range(4) if wanted[a] < wanted[b])
    assert _spread([20.0, 80.0], [10.0, 10.0], 0.0, 100.0) == [20, 80]


def test_the_caption_counts():
    table = lines("a", "b", "c")
    assert _counts(table, ["a", "b", "c"], "videos") == "n\u00a0=\u00a040 videos."
    table.loc[table.series == "b", "count"] = 23
    table.loc[(table.series == "c") & (table.gap == 7), "count"] = 31
    assert _counts(table, ["a", "b", "c"], "clips") == "n\u00a0(clips): a 40, b 23, c 31 to 40."


def test_ticks_stand_at_measured_places_that_have_room():
    class Axes:
        def get_xticks(self):
            return [-200, 0, 200, 400, 1000]

    assert _ticks(Axes(), np.array([1.0, 2, 3, 1, 2, 3])).tolist() == [1, 2, 3]
    assert _ticks(Axes(), np.array([0.0, 10, 400])).tolist() == [0, 200, 400]
    assert _ticks(Axes(), np.array([5.0])).tolist() == [5]


def test_errors_say_what_to_do(tmp_path):
    table, path = lines("one", "two"), tmp_path / "none.png"
    with pytest.raises(DataError, match="the table has no column 'low'; it needs series, gap, mean, low, high, count"):
        draw_curves(table.drop(columns="low"), path, **LABELS)
    with pytest.raises(DataError, match="8 series cannot be told apart, 7 can"):
        draw_curves(lines(*"abcdefgh"), path, **LABELS)
    with pytest.raises(DataError, match="the table has no rows, so there is nothing to draw"):
        draw_curves(table[:0], path, **LABELS)
    with pytest.raises(DataError, match="1 of 14 rows have a value that is not finite; leave them out by name"):
        draw_curves(table.assign(high=[np.nan, *table["high"][1:]]), path, **LABELS)
    with pytest.raises(DataError, match="series 'one' has two rows at gap 1; sum them up first"):
        draw_curves(pd.concat([table, table[:1]]), path, **LABELS)
    assert not list(tmp_path.iterdir())
