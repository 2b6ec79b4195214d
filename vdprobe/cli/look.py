"""`vdprobe look`: features in the browser; or one view of them as a file."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from vdprobe.cli.options import Store
from vdprobe.cli.output import human_bytes, say


def look(
    store: Store = None,
    videos: Annotated[
        list[str] | None,
        typer.Option("--videos", help="Where the videos are, if not where they were extracted; repeat for several."),
    ] = None,
    view: Annotated[
        str | None, typer.Option(help="A link of the page, or what follows its #: what is shown first.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the view to this .html file, to send to someone, and stop.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    memory: Annotated[float, typer.Option(min=0.01, help="GiB of features that are kept in memory.")] = 1.5,
) -> None:
    """Look at features in the browser: click a point, see where a layer finds the same. Compare two side by side."""
    from vdprobe.look.view import parse_view
    from vdprobe.look.viewer import open_viewer
    from vdprobe.store.location import default_root

    wanted = parse_view(view) if view else None
    viewer = open_viewer(default_root() if store is None else store, videos or (), int(memory * 2**30))
    if wanted is not None:
        viewer.columns(wanted)  # a view of what is not there is told at once
    if export is not None:
        from vdprobe.look.export import write_page

        size = write_page(viewer, wanted or viewer.first_view(), export)
        typer.echo(f"{export}  {human_bytes(size)}")
        return
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        from vdprobe.errors import ConfigError

        raise ConfigError(f'the viewer needs {" and ".join(missing)}: pip install "vdprobe[look]"')
    from vdprobe.look.server import ADDRESS, listen, new_token, serve

    listener, token = listen(port), new_token()
    address = f"http://{ADDRESS}:{listener.getsockname()[1]}/?token={token}"
    address += f"#{wanted.address}" if wanted else ""
    typer.echo(address)
    say("the viewer of this machine alone; Ctrl+C ends it")
    if open_:
        import webbrowser

        webbrowser.open(address)
    serve(viewer, listener, token, wanted)
