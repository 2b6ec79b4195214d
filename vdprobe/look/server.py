"""The server of the page: thin, read-only, on this machine alone."""

import json
import secrets
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, cast

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from vdprobe.errors import ConfigError, DataError, VdprobeError
from vdprobe.look.film import FilmKind, encode_film, read_pictures
from vdprobe.look.geometry import Grid
from vdprobe.look.guard import Guard
from vdprobe.look.page_text import page_text
from vdprobe.look.view import View
from vdprobe.look.viewer import Column, Viewer, described
from vdprobe.specs.features import Timestep
from vdprobe.specs.numbers import finite_number, plain_number

ADDRESS = "127.0.0.1"
MOST_BYTES = 1 << 28
"""Of the pictures of a film."""
COSINE_STEPS = 32767
"""Cosines are sent as whole numbers of this many to 1."""


def make_app(viewer: Viewer, token: str, port: int, view: View | None = None) -> Starlette:
    """The application; `view` is what the page shows where the address says nothing."""

    def page(request: Request) -> Response:
        first = asdict(view or viewer.first_view())
        return HTMLResponse(page_text({"view": first, "token": token, **described(viewer)}))

    def store(request: Request) -> Response:
        return JSONResponse(described(viewer))

    def clips(request: Request) -> Response:
        entries = viewer.reader.clips(viewer.reader.spec(_text(request, "spec")))
        return JSONResponse(
            [
                {"video": e.video, "clip": e.clip, "text": e.text, "frames": e.frames, "sigmas": e.sigmas}
                for e in entries
            ]
        )

    def frame(request: Request) -> Response:
        column = _column(viewer, request)
        number = _whole(request, "frame")
        if number >= len(column.clip.frames):
            raise ConfigError(f"the clip has no frame {number}; it has {len(column.clip.frames)}")
        picture = viewer.videos.frame(column.clip, number)
        return Response(picture.jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})

    def colours(request: Request) -> Response:
        column = _column(viewer, request)
        values, grid = viewer.colours(column)
        return _bytes(values, grid, clips=viewer.basis(column.clip.spec, column.tap).clips)

    def cosines(request: Request) -> Response:
        column = _column(viewer, request)
        values, grid = viewer.cosines(
            column, _whole(request, "f"), *_point(request), centred=request.query_params.get("centred") == "1"
        )
        return _bytes(np.rint(values * COSINE_STEPS).astype("<i2"), grid)

    def masks(request: Request) -> Response:
        objects, lines = viewer.outlines(_column(viewer, request))
        return JSONResponse({"objects": objects, "outlines": lines})

    def label(request: Request) -> Response:
        point = _point(request) if "x" in request.query_params else None
        found = viewer.carried(_column(viewer, request), _whole(request, "f"), point)
        return JSONResponse({"objects": found.objects, "outlines": found.outlines, "overlaps": found.overlaps})

    async def film(request: Request) -> Response:
        kind = request.query_params.get("kind")
        if kind not in ("mp4", "gif"):
            raise ConfigError("a film is of kind mp4 or gif")
        parts = _parts(await _body(request))
        made = await run_in_threadpool(lambda: encode_film(read_pictures(parts), cast(FilmKind, kind)))
        return Response(made, media_type="video/mp4" if kind == "mp4" else "image/gif")

    pages: Mapping[str, Callable[[Request], Response]] = {
        "/": page,
        "/store": store,
        "/clips": clips,
        "/frame": frame,
        "/colours": colours,
        "/cosines": cosines,
        "/masks": masks,
        "/label": label,
    }
    routes = [Route(path, answer) for path, answer in pages.items()]
    routes.append(Route("/film", film, methods=["POST"]))
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token, port=port)],
        exception_handlers={VdprobeError: _refused, HTTPException: _unknown},
    )


def listen(port: int = 0) -> socket.socket:
    """A socket that listens on this machine alone, by default on a free port. Raises `ConfigError` for a taken one."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((ADDRESS, port))
        found.listen()  # whoever opens the address before the server answers waits
    except OSError as error:
        found.close()
        why = error.strerror
        raise ConfigError(f"port {port} cannot be used ({why}); give another --port, or 0 for any") from error
    return found


def serve(viewer: Viewer, listener: socket.socket, token: str, view: View | None = None) -> None:
    """Answers until it is interrupted."""
    import uvicorn

    port = listener.getsockname()[1]
    config = uvicorn.Config(
        make_app(viewer, token, port, view),
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listener])


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(16)


def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404 if isinstance(error, ConfigError) else 422)


def _unknown(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return JSONResponse({"error": "there is nothing here; use the address that `vdprobe look` printed"}, status)


def _column(viewer: Viewer, request: Request) -> Column:
    given = request.query_params
    timestep = _timestep(request) if given.get("t") else None
    return viewer.column(
        _text(request, "spec"),
        _text(request, "video"),
        _text(request, "clip"),
        given.get("text"),
        _text(request, "tap"),
        timestep,
    )


def _text(request: Request, name: str) -> str:
    found = request.query_params.get(name)
    if not found:
        raise ConfigError(f"the request lacks '{name}'; load the page again")
    return found


def _whole(request: Request, name: str) -> int:
    text = _text(request, name)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ConfigError(f"'{name}' (={text[:80]}) is no whole number from 0 on; load the page again")
    return int(text)


def _timestep(request: Request) -> Timestep:
    text = _text(request, "t")
    value = finite_number(text)
    if value is None:
        raise ConfigError(f"'t' (={text[:80]}) is no number; load the page again")
    return plain_number(value)


def _point(request: Request) -> tuple[float, float]:
    out = []
    for name in ("x", "y"):
        text = _text(request, name)
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise ConfigError(f"'{name}' (={text[:80]}) is no share from 0 to 1; load the page again")
        out.append(value)
    return out[0], out[1]


def _bytes(values: np.ndarray, grid: Grid, **facts: Any) -> Response:
    head = {"shape": values.shape, "extent": grid.extent, "flip": grid.flip, **facts}
    return Response(
        np.ascontiguousarray(values).tobytes(),
        media_type="application/octet-stream",
        headers={"X-Map": json.dumps(head)},
    )


async def _body(request: Request) -> bytes:
    out = bytearray()
    async for chunk in request.stream():
        out += chunk
        if len(out) > MOST_BYTES:
            raise DataError(f"the film's pictures take more than {MOST_BYTES >> 20} MiB; make the window smaller")
    return bytes(out)


def _parts(body: bytes) -> list[bytes]:
    """Pictures, each after its length in four bytes, little end first."""
    out, place = [], 0
    while place < len(body):
        size = struct.unpack_from("<I", body, place)[0] if place + 4 <= len(body) else 0
        if not size or place + 4 + size > len(body):
            raise DataError("the pictures of the film are cut short; load the page again")
        out.append(body[place + 4 : place + 4 + size])
        place += 4 + size
    return out
