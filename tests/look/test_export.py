import base64
import json
import re

import numpy as np
import pytest

from vdprobe.errors import ConfigError
from vdprobe.look.export import compressed, export_page, write_page
from vdprobe.look.view import View


def given(page):
    return json.loads(re.search(r"<script>window\.GIVEN=(.*?)</script>", page, re.DOTALL)[1])


@pytest.fixture
def view(viewer):
    first = viewer.first_view()
    other = viewer.reader.specs()[1].key
    return View(
        **{
            **first.__dict__,
            "spec2": other,
            "tap2": "unet.up.1",
            "t2": 261,
            "mode": "similarity",
            "f": 1,
            "x": 0.3,
            "y": 0.4,
        }
    )


@pytest.mark.parametrize("centred", [False, True])
def test_cosines_of_an_exported_page_are_those_of_the_features(viewer, view, centred):
    for column in viewer.columns(view):
        clip = viewer.decoded(column)
        parts, steps, error = compressed(clip, centred=centred)
        assert error < 0.02  # 12 channels fit 64 components: rounding to bytes alone
        values = parts * steps
        row, cell = clip.grid.cell(0.3, 0.4)
        query = values[1, row * clip.grid.columns + cell]
        exact, _ = viewer.cosines(column, 1, 0.3, 0.4, centred=centred)
        np.testing.assert_allclose((values @ query).reshape(exact.shape), exact, atol=0.02)


def test_an_exported_page_holds_the_view_and_asks_no_other_place(viewer, view):
    page = export_page(viewer, view)
    content = given(page)
    assert "http://" not in page and "https://" not in page and "src=" not in page.replace("img-src", "")
    assert content["view"]["f"] == 1 and content["view"]["mode"] == "similarity"
    assert [spec["label"] for spec in content["specs"]] == [spec.label for spec in viewer.reader.specs()]
    assert content["specs"][1]["taps"] == ["unet.up.1"] and content["specs"][1]["timesteps"] == [261]
    own = content["page"]["columns"][0]
    assert own["shape"] == [5, 5, 8] and len(base64.b64decode(own["parts"])) == 5 * 5 * 8 * len(own["steps"])
    assert base64.b64decode(content["page"]["frames"][4])[:2] == b"\xff\xd8"
    assert content["page"]["masks"]["objects"] == [1]
    assert export_page(viewer, view) == page


def test_two_layers_of_one_spec_are_two_columns_of_an_exported_page(viewer, view):
    content = given(export_page(viewer, View(**{**view.__dict__, "spec2": view.spec})))
    assert len({spec["key"] for spec in content["specs"]}) == 2
    assert content["view"]["spec2"] == content["specs"][1]["key"]
    assert set(content["page"]["clips"]) == {spec["key"] for spec in content["specs"]}


def test_a_carried_label_is_exported_with_its_view(viewer, view):
    content = given(export_page(viewer, View(**{**view.__dict__, "mode": "label", "x": 12 / 64, "y": 12 / 40, "f": 0})))
    assert content["page"]["columns"][0]["label"]["overlaps"][0] == 1
    assert "label" in content["page"]["modes"]


def test_the_command_exports_and_says_what_is_wrong(vdprobe, filled, viewer, view, tmp_path, monkeypatch):
    out = tmp_path / "page.html"
    status, told, _ = vdprobe(
        "look", "--store", filled / "store", "--view", f"http://x/#{view.address}", "--export", out
    )
    assert status == 0 and str(out) in told and given(out.read_text())["view"]["x"] == 0.3
    for arguments, line in (
        (("--view", "spec=ffff"), "is no spec of the store"),
        (("--view", "what=1"), "a view has no 'what'"),
        (("--export", tmp_path / "page.pdf"), "is no .html file"),
        (("--videos", tmp_path / "nowhere"), "there is no"),
    ):
        status, _, error = vdprobe("look", "--store", filled / "store", *arguments)
        assert status in (1, 2) and line in error and error.count("\n") == 1
    status, _, error = vdprobe("look", "--store", tmp_path / "none")
    assert status == 1 and "no feature store at" in error
    monkeypatch.setattr("vdprobe.cli.look.find_spec", lambda name: None)
    status, _, error = vdprobe("look", "--store", filled / "store")
    assert status == 2 and 'pip install "vdprobe[look]"' in error and error.count("\n") == 1


def test_a_page_that_is_no_html_is_refused_before_anything_is_read(viewer, view, tmp_path):
    with pytest.raises(ConfigError, match="give a name that ends"):
        write_page(viewer, view, tmp_path / "page")
