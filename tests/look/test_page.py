"""The page in a real browser: `pip install "vdprobe[browser-tests]"` and a Chromium (`apt-get install chromium`)."""

import shutil
import threading

import pytest

pytest.importorskip("starlette", reason='the page needs: pip install "vdprobe[look]"')
playwright = pytest.importorskip(
    "playwright.sync_api", reason='the page is looked at with: pip install "vdprobe[browser-tests]"'
)

pytestmark = pytest.mark.slow
WAIT = 120_000


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        try:
            made = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"the page is looked at with Chromium, which is not here: {str(error).splitlines()[0]}")
        yield made
        made.close()


@pytest.fixture
def page(browser):
    """A page that fails the test for an error in it, or a request to any host but this machine.

    It comes after `address` among a test's arguments, so that it is closed before the server stops.
    """
    made = browser.new_page(viewport={"width": 1280, "height": 800})
    wrong = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    made.on("request", lambda request: wrong.append(request.url) if not local(request.url) else None)
    yield made
    made.close()
    assert wrong == []


def local(url):
    return url.startswith(("http://127.0.0.1:", "blob:", "data:", "file:"))


@pytest.fixture
def address(viewer):
    """The address of a running viewer."""
    import uvicorn

    from vdprobe.look.server import listen, make_app

    listener = listen()
    port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(make_app(viewer, "token", port), log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{port}/?token=token"
    server.should_exit = True
    thread.join()


def wait_for(page, selector):
    page.wait_for_selector(selector, state="attached", timeout=WAIT)


def shown(page):
    return int(page.locator("body").get_attribute("data-shown") or 0)


def change(page, act):
    """Acts, and waits until what it changes is shown."""
    before = shown(page)
    act()
    wait_for(page, f'body[data-shown="{before + 1}"]')


def begin(page, address):
    page.goto(address)
    wait_for(page, "body[data-shown]")
    wait_for(page, "body[data-frames]")


def click_at(page, x, y, column=0):
    canvas = page.locator(".large").nth(column)
    box = canvas.bounding_box()
    change(page, lambda: canvas.click(position={"x": x * box["width"], "y": y * box["height"]}))


def number_at(page, x, y, column=0):
    canvas = page.locator(".large").nth(column)
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    return [float(text) for text in page.locator(".number").all_text_contents()]


def test_load_choose_click_compare_and_come_back_by_the_link(address, page, browser, viewer):
    begin(page, address)
    assert page.locator(".strip canvas").count() == 5
    change(page, lambda: page.locator(".tap").select_option("unet.up.1"))
    change(page, lambda: page.locator(".t").select_option("261"))
    click_at(page, 0.2, 0.3)
    column = viewer.columns(viewer.first_view())[0]
    column = viewer.column(column.clip.spec.key, column.clip.video, "0-4", None, "unet.up.1", 261)
    cosines, _ = viewer.cosines(column, 0, 0.2, 0.3)
    assert number_at(page, 0.8, 0.6) == [pytest.approx(float(cosines[0, 3, 6]), abs=6e-4)]
    change(page, lambda: page.locator("#compare").click())
    assert page.locator(".column").count() == 2
    first, _ = number_at(page, 0.8, 0.6)  # the pointer is over the first column, and both say what is there
    assert first == pytest.approx(float(cosines[0, 3, 6]), abs=6e-4)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    link, told = page.url, page.locator("#where").inner_text()
    assert "frame=2" in link and "spec2=" in link and "frame 2" in told
    again = browser.new_page(viewport={"width": 1280, "height": 800})
    begin(again, link)
    assert again.url == link and again.locator("#where").inner_text() == told
    assert number_at(again, 0.8, 0.6) == number_at(page, 0.8, 0.6)
    again.close()
    change(page, lambda: page.locator("[data-mode=label]").click())
    assert "carried by nearest neighbours, mean IoU" in page.locator(".note").first.inner_text()
    change(page, lambda: page.go_back())
    assert "mode=similarity" in page.url
    page.keyboard.press(" ")
    assert page.locator("#play").inner_text() == "❚❚"
    page.keyboard.press(" ")
    assert page.locator("#play").inner_text() == "▶"


def test_what_is_seen_is_saved(address, page):
    begin(page, address)
    for kind, head in (("png", b"\x89PNG"), ("gif", b"GIF8"), ("mp4", b"ftyp")):
        page.locator("#save summary").click()
        with page.expect_download(timeout=WAIT) as saving:
            page.locator(f"[data-save={kind}]").click()
        with open(saving.value.path(), "rb") as file:
            assert head in file.read(12)
        assert saving.value.suggested_filename.endswith(f".{kind}")


def test_an_extraction_is_seen_while_it_fills_the_store(page, looked_at, tmp_path):
    import uvicorn

    from vdprobe.look.server import listen, make_app
    from vdprobe.look.viewer import open_viewer
    from vdprobe.store.store import FeatureStore

    looked_at.write_videos(tmp_path)
    store, spec = FeatureStore.create(tmp_path / "store", durable=False), looked_at.make_spec()
    store.write_spec(spec, {"config": {"videos": looked_at.options(tmp_path)}})
    listener = listen()
    port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(make_app(open_viewer(store.root), "t", port), log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        page.goto(f"http://127.0.0.1:{port}/?token=t")
        page.get_by_text("No clip is complete yet").wait_for(timeout=WAIT)
        looked_at.write(store, spec, tmp_path, looked_at.VIDEOS[0])
        page.get_by_text("1 item ").wait_for(timeout=WAIT)
        page.locator(".strip canvas").first.wait_for(timeout=WAIT)
        looked_at.write(store, spec, tmp_path, looked_at.VIDEOS[1])
        page.get_by_text("2 items ").wait_for(timeout=WAIT)
        assert page.locator("#video option").all_text_contents() == [v.replace("/", "_") for v in looked_at.VIDEOS]
    finally:
        page.close()  # before the server stops, for which it looks
        server.should_exit = True
        thread.join()


def test_an_exported_page_is_looked_at_without_a_network(browser, viewer, tmp_path):
    from vdprobe.look.export import write_page
    from vdprobe.look.view import View

    first = viewer.first_view()
    view = View(**{**first.__dict__, "spec2": viewer.reader.specs()[1].key, "tap2": first.tap, "t2": first.t})
    write_page(viewer, view, tmp_path / "page.html")
    context = browser.new_context(offline=True)
    page = context.new_page()
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    begin(page, (tmp_path / "page.html").as_uri())
    click_at(page, 0.2, 0.3)
    exact, _ = viewer.cosines(viewer.columns(view)[0], 0, 0.2, 0.3)
    values = number_at(page, 0.8, 0.6)
    assert len(values) == 2 and values[0] == pytest.approx(float(exact[0, 3, 6]), abs=0.02)
    assert "mode=similarity" in page.url and wrong == []
    change(page, lambda: page.locator(".close").first.click())  # what is left is the second, wherever it stands
    assert number_at(page, 0.8, 0.6) == values[1:]
    assert all(url.startswith(("file:", "data:")) for url in asked)
    context.close()
