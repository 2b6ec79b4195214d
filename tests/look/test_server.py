import json
import struct

import numpy as np
import pytest

pytest.importorskip("starlette", reason='the viewer\'s server needs: pip install "vdprobe[look]"')

from starlette.testclient import TestClient

from vdprobe.look.server import listen, make_app
from vdprobe.look.view import View

TOKEN, PORT = "right-token", 4321
HOST = f"127.0.0.1:{PORT}"


@pytest.fixture
def app(viewer):
    return make_app(viewer, TOKEN, PORT)


@pytest.fixture
def client(app):
    return TestClient(app, base_url=f"http://{HOST}")


@pytest.fixture
def asks(viewer, looked_at):
    view = viewer.first_view()
    return {"token": TOKEN, "spec": view.spec, "video": view.video, "clip": view.clip, "tap": view.tap, "t": view.t}


PATHS = ["/", "/store", "/clips", "/frame", "/colours", "/cosines", "/masks", "/label", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_answered(client, path):
    for query in (
        {},
        {"token": ""},
        {"token": "wrong"},
        {"token": TOKEN + "x"},
        {"token": TOKEN.upper()},
        {"Token": TOKEN},
    ):
        answer = client.get(path, params=query)
        assert answer.status_code == 403
        assert list(answer.json()) == ["error"] and TOKEN not in answer.text
    assert client.get(f"{path}?token={TOKEN}&token=wrong").status_code == 403
    assert client.get(path, headers={"Authorization": TOKEN, "Cookie": f"token={TOKEN}"}).status_code == 403
    assert client.post("/film?kind=gif", content=b"x").status_code == 403


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:80",
        f"127.0.0.1:{PORT}.evil.example",
        f"127.0.0.1:{PORT}@evil",
        "",
        "0.0.0.0:4321",
        "[::1]:4321",
    ],
)
def test_a_foreign_host_is_refused_even_with_the_token(client, path, host):
    answer = client.get(path, params={"token": TOKEN}, headers={"Host": host})
    assert answer.status_code == 421 and TOKEN not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/store/../../etc/passwd",
        "/frame/%2e%2e/x",
        "/static/look.js",
        "/store.json",
        "/%00",
        "/page/look.js",
        "/C:\\x",
    ],
)
def test_path_tricks_find_nothing(client, path):
    answer = client.get(path, params={"token": TOKEN})
    assert answer.status_code == 404 and "there is nothing here" in answer.json()["error"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"video": "../../etc"}, "no video"),
        ({"video": "/etc/passwd"}, "no video"),
        ({"spec": "../.."}, "no spec"),
        ({"tap": "../../zarr.json"}, "no tap"),
        ({"tap": "unet.up.2/../unet.up.1"}, "no tap"),
        ({"clip": "../0-4"}, "no clip"),
        ({"t": "5x1"}, "no number"),
        ({"t": "-1"}, "no timestep -1"),
        ({"spec": ""}, "lacks 'spec'"),
    ],
)
def test_names_that_the_store_does_not_have_are_told(client, asks, changes, told):
    answer = client.get("/colours", params={**asks, **changes})
    assert answer.status_code == 404 and told in answer.json()["error"]


@pytest.mark.parametrize(
    "point",
    [
        {"x": "nan", "y": "0"},
        {"x": "2", "y": "0"},
        {"x": "0.5"},
        {"x": "0.5", "y": "0.5", "f": "99"},
        {"x": "0", "y": "0", "f": ""},
    ],
)
def test_clicks_that_the_page_never_sends_are_told(client, asks, point):
    answer = client.get("/cosines", params={**asks, "f": "0", **point})
    assert answer.status_code == 404 and answer.json()["error"]


def test_only_reading_is_answered(client):
    for path in PATHS[:-1]:
        assert client.post(path, params={"token": TOKEN}).status_code == 405
        assert client.delete(path, params={"token": TOKEN}).status_code == 405


def test_a_map_is_the_one_of_numpy(client, asks, viewer):
    answer = client.get("/cosines", params={**asks, "f": 1, "x": 0.3, "y": 0.4})
    head = json.loads(answer.headers["X-Map"])
    sent = np.frombuffer(answer.content, "<i2").reshape(head["shape"]) / 32767
    item = next(i for i in viewer.reader.store.items(asks["spec"]) if i.item.video == asks["video"])
    x = item.read(asks["tap"], asks["t"])[:, :, :5].astype(np.float64)
    query = x[1, :, 2, 2]  # (0.3, 0.4) of 64 x 40 pixels, in cells of 8
    by_numpy = np.einsum("fchw,c->fhw", x, query) / np.linalg.norm(x, axis=1) / np.linalg.norm(query)
    np.testing.assert_allclose(sent, by_numpy, atol=3e-5)
    assert head == {"shape": [5, 5, 8], "extent": [1.0, 1.0], "flip": False}


def test_what_the_page_asks_for_is_answered(client, asks, looked_at):
    store = client.get("/store", params={"token": TOKEN}).json()
    assert len(store["specs"]) == 2 and store["specs"][0]["taps"] == list(looked_at.TAPS)
    clips = client.get("/clips", params=asks).json()
    assert clips[0] == {"video": "a bear", "clip": "0-4", "text": None, "frames": [0, 1, 2, 3, 4], "sigmas": [0.1, 0.4]}
    frame = client.get("/frame", params={**asks, "frame": 2})
    assert frame.headers["content-type"] == "image/jpeg" and frame.content[:2] == b"\xff\xd8"
    assert client.get("/frame", params={**asks, "frame": 5}).status_code == 404
    colours = client.get("/colours", params=asks)
    assert len(colours.content) == 5 * 5 * 8 * 3
    masks = client.get("/masks", params=asks).json()
    assert masks["objects"] == [1] and len(masks["outlines"]) == 5
    label = client.get("/label", params={**asks, "f": 0}).json()
    assert label["overlaps"][0] == 1


def test_what_cannot_be_shown_is_told_in_a_line(client, asks, viewer, monkeypatch):
    from vdprobe.errors import DataError

    def lost(*_):
        raise DataError("video 'a bear' is nowhere; give its folder as --videos")

    monkeypatch.setattr(viewer.videos, "frame", lost)
    answer = client.get("/frame", params={**asks, "frame": 0})
    assert answer.status_code == 422 and answer.json() == {
        "error": "video 'a bear' is nowhere; give its folder as --videos"
    }


def test_the_page_carries_everything_and_asks_no_other_place(client, looked_at):
    answer = client.get("/", params={"token": TOKEN})
    page = answer.text
    assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["cache-control"] == "no-store"
    assert "connect-src 'self'" in page and "default-src 'none'" in page
    assert "http://" not in page and "https://" not in page
    assert page.count("<script>") == 2  # no text of the store ends or begins one


def test_names_in_a_page_stay_text(viewer, looked_at):
    name = "b <script>alert(1)<"  # the folder of the second video
    view = View(**{**viewer.first_view().__dict__, "text": "</script><script>alert(1)</script>", "video": name})
    page = TestClient(make_app(viewer, TOKEN, PORT, view), base_url=f"http://{HOST}").get(f"/?token={TOKEN}").text
    assert "alert(1)" in page and "<script>alert" not in page and page.count("</script>") == 2


def pictures(count=3, size=(40, 30)):
    import io

    from PIL import Image

    out = b""
    for k in range(count):
        file = io.BytesIO()
        Image.new("RGB", size, (80 * k, 20, 30)).save(file, "PNG")
        out += struct.pack("<I", file.tell()) + file.getvalue()
    return out


@pytest.mark.parametrize(("kind", "head"), [("gif", b"GIF8"), ("mp4", b"ftyp")])
def test_a_film_is_made_of_the_pictures_of_the_page(client, kind, head):
    answer = client.post("/film", params={"token": TOKEN, "kind": kind}, content=pictures())
    assert answer.status_code == 200 and head in answer.content[:12]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"abc",
        struct.pack("<I", 99) + b"short",
        struct.pack("<I", 4) + b"nope",
        pictures() + b"\0\0\0\0",
        pictures(1) + pictures(1, (2, 2)),
    ],
)
def test_what_is_no_film_is_told(client, body):
    answer = client.post("/film", params={"token": TOKEN, "kind": "gif"}, content=body)
    assert answer.status_code == 422 and "load the page again" in answer.json()["error"]


def test_a_film_of_too_many_bytes_is_refused(client, monkeypatch):
    monkeypatch.setattr("vdprobe.look.server.MOST_BYTES", 100)
    answer = client.post("/film", params={"token": TOKEN, "kind": "gif"}, content=pictures())
    assert answer.status_code == 422 and "take more than" in answer.json()["error"]
    assert client.post("/film", params={"token": TOKEN, "kind": "exe"}, content=b"").status_code == 404


def test_it_listens_to_this_machine_alone_on_a_free_port():
    from vdprobe.errors import ConfigError

    first = listen()
    try:
        address, port = first.getsockname()
        assert address == "127.0.0.1" and port > 1023
        with pytest.raises(ConfigError, match=f"port {port} cannot be used"):
            listen(port)
    finally:
        first.close()
