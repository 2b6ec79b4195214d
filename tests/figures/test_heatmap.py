from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vdprobe.errors import DataError
from vdprobe.figures import heatmap
from vdprobe.figures.heatmap import draw_heatmap
from vdprobe.figures.style import DPI, WIDTH


def table(rows=5, columns=5, prefix="unet.down."):
    names = [f"{prefix}{k}" for k in range(max(rows, columns))]
    return pd.DataFrame(
        [
            {"row": row, "column": column, "value": round(0.1 * abs(i - j), 3), "count": 12}
            for i, row in enumerate(names[:rows])
            for j, column in enumerate(names[:columns])
        ]
    )


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws a table and gives the figure, as it is saved."""

    def draw(rows, **options):
        figures = []
        real = heatmap.add_caption
        monkeypatch.setattr(heatmap, "add_caption", lambda figure, text: (figures.append(figure), real(figure, text)))
        draw_heatmap(rows, tmp_path / "a", value="linear CKA", caption="How alike two layers are.", **options)
        return figures[0]

    return draw


def test_each_cell_has_its_colour_and_its_number(drawn):
    rows = table(columns=3)
    axes = drawn(rows).axes[0]
    assert axes.collections[0].get_array().reshape(5, 3).tolist() == rows["value"].to_numpy().reshape(5, 3).tolist()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [f"unet.down.{k}" for k in range(3)]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [f"unet.down.{k}" for k in range(5)]
    assert axes.yaxis_inverted()  # the first row on top
    found = {text.get_position(): text.get_text() for text in axes.texts}
    assert found[0.5, 0.5] == ".00"
    assert found[0.5, 4.5] == ".40"
    assert found[2.5, 4.5] == ".20"


def test_what_the_table_does_not_name_stays_empty(drawn):
    rows = table(rows=2, columns=2)
    axes = drawn(rows.drop(index=1)).axes[0]
    assert np.ma.masked_invalid(axes.collections[0].get_array()).mask.tolist() == [[False, True], [False, False]]
    assert len(axes.texts) == 3


def test_values_beyond_the_colours_are_counted(drawn):
    rows = table().assign(value=[-0.5, 1.5] + [0.5] * 23)
    caption = " ".join(drawn(rows).get_supxlabel().split())
    assert caption == "How alike two layers are. 2 of 25 values lie beyond the colours' ends."
    figure = drawn(table())
    assert "beyond" not in figure.get_supxlabel()
    assert (figure.axes[0].collections[0].norm.vmin, figure.axes[0].collections[0].norm.vmax) == (0, 1)


@pytest.mark.parametrize(("side", "prefix"), [(2, "vae.down."), (7, "unet.down."), (16, "unet.down_blocks.0.resnets.")])
def test_nothing_overlaps_or_leaves_the_page(drawn, side, prefix):
    figure = drawn(table(side, side, prefix), row_label="tiny-t2v", column_label="random UNet")
    figure.draw_without_rendering()
    axes, bar = figure.axes
    page = figure.bbox
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label, bar.yaxis.label]
    for part in (*labels, figure._supxlabel):
        box = part.get_window_extent()
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1
    assert figure._supxlabel.get_window_extent().y1 <= axes.xaxis.label.get_window_extent().y0
    cell = axes.get_window_extent().width / figure.dpi / side
    assert cell > 0.14  # an inch's share in which letters of a label still lie beside each other
    ticks = [tick.get_window_extent() for tick in axes.get_xticklabels()]
    assert all(one.x1 <= two.x0 + 1 for one, two in pairwise(ticks))


def test_four_files_of_the_page_s_width(tmp_path):
    rows = table()
    for name in ("unet.up.1", "b.png"):
        draw_heatmap(rows, tmp_path / name, value="CKA", caption="What it is.")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"{stem}.{kind}" for stem in ("unet.up.1", "b") for kind in ("pdf", "svg", "png", "csv")
    )
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.width == round(WIDTH * DPI)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "b.csv"), rows)
    for kind in ("pdf", "svg"):
        assert (tmp_path / f"b.{kind}").read_bytes() == (tmp_path / f"unet.up.1.{kind}").read_bytes()


def test_errors_say_what_to_do(tmp_path):
    rows = table(2, 2)
    wrong = {
        "no column 'value', nothing to draw; give rows of row, column, value": rows.drop(columns="value"),
        "no row, nothing to draw": rows[:0],
        "two values for 'unet.down.0', 'unet.down.0'; average them": pd.concat([rows, rows[:1]]),
        "'unet.down.0', 'unet.down.1': nan is no number to draw": rows.assign(value=[0.0, np.nan, 0.0, 0.0]),
    }
    for message, bad in wrong.items():
        with pytest.raises(DataError, match=message):
            draw_heatmap(bad, tmp_path / "a", value="CKA", caption="")
    assert not list(tmp_path.iterdir())
