import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import StepPatch
from PIL import Image

from vdprobe.errors import DataError
from vdprobe.figures import distributions
from vdprobe.figures.distributions import draw_distributions
from vdprobe.figures.style import COLOURS, CONTROL, DPI, WIDTH

SHARES = {"within": [0.0, 0.1, 0.3, 0.6], "between": [0.5, 0.3, 0.2, 0.0]}


def table(panels=("tiny, vd-t (AUC 0.90)", "random UNet (AUC 0.51)"), count=6):
    rows = [
        {"panel": panel, "series": series, "left": k / 2 - 1, "right": k / 2 - 0.5, "share": share, "count": count}
        for panel in panels
        for series, shares in SHARES.items()
        for k, share in enumerate(shares)
    ]
    found = pd.DataFrame(rows)
    return found.assign(control=found["panel"].str.startswith("random"))


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws a table and gives the figure, as it is saved."""

    def draw(rows):
        figures = []
        real = distributions.add_caption
        monkeypatch.setattr(
            distributions, "add_caption", lambda figure, text: (figures.append(figure), real(figure, text))
        )
        draw_distributions(rows, tmp_path / "a.pdf", x_label="cosine similarity", caption="Pairs.")
        return figures[0]

    return draw


def steps(axes):
    return [patch for patch in axes.patches if isinstance(patch, StepPatch)]


def test_each_panel_has_both_histograms_as_they_are(drawn):
    figure = drawn(table())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["tiny, vd-t (AUC 0.90)", "random UNet (AUC 0.51)"]
    for axes in figure.axes:
        filled, outline = steps(axes)
        for patch, shares in zip((filled, outline), SHARES.values(), strict=True):
            values, edges, _ = patch.get_data()
            assert values.tolist() == shares
            assert edges.tolist() == [-1, -0.5, 0, 0.5, 1]
        assert filled.get_fill()
        assert not outline.get_fill()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["within", "between"]


def test_controls_are_grey(drawn):
    from matplotlib.colors import to_rgb

    model, control = drawn(table()).axes
    assert to_rgb(steps(model)[0].get_facecolor()) == to_rgb(COLOURS[0])
    assert to_rgb(steps(model)[1].get_edgecolor()) == to_rgb(COLOURS[1])
    assert to_rgb(steps(control)[0].get_facecolor()) == to_rgb(CONTROL)


def test_panels_share_their_scale_and_the_caption_counts(drawn):
    rows = table()
    rows.loc[rows["control"], "count"] = 4
    figure = drawn(rows)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert " ".join(figure.get_supxlabel().split()) == "Pairs. n = 4 to 6 videos."
    assert " ".join(drawn(table()).get_supxlabel().split()) == "Pairs. n = 6 videos."


@pytest.mark.parametrize("count", [1, 6])
def test_nothing_overlaps_or_leaves_the_page(drawn, count):
    figure = drawn(table(panels=[f"a model with a long name, vd-it {k} (AUC 0.90)" for k in range(count)]))
    figure.draw_without_rendering()
    page = figure.bbox
    titles = [axes.title.axes._left_title for axes in figure.axes]
    for part in (*figure.legends, figure._supxlabel, figure._supylabel, *titles, figure.axes[-1].xaxis.label):
        box = part.get_window_extent()
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1
    for upper, title in zip(figure.axes, titles[1:], strict=False):
        assert title.get_window_extent().y1 <= upper.get_window_extent().y0


def test_three_files(tmp_path):
    draw_distributions(table(), tmp_path / "a.pdf", x_label="x", caption="y")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.pdf", "a.png", "a.svg"]
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width == round(WIDTH * DPI)
    assert np.allclose(pd.read_csv(tmp_path / "a.csv")["share"], table()["share"])


def test_errors_say_what_to_do(tmp_path):
    rows = table()
    wrong = {
        "no column 'control', nothing to draw; give rows of panel, series": rows.drop(columns="control"),
        "no row, nothing to draw": rows[:0],
        r"panel 'tiny, vd-t \(AUC 0.90\)' shows within; give each panel the same two series": rows[
            (rows["series"] == "within") | rows["control"]
        ],
    }
    for message, bad in wrong.items():
        with pytest.raises(DataError, match=message):
            draw_distributions(bad, tmp_path / "a", x_label="x", caption="y")
    assert not list(tmp_path.iterdir())
