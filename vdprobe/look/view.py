"""`View`: what is seen, all of it in an address, so that a link is a view."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit

from vdprobe.errors import ConfigError, shown, suggest
from vdprobe.specs.features import Timestep
from vdprobe.specs.numbers import plain_number

MODES = ("frames", "colours", "similarity", "label")


@dataclass(frozen=True, kw_only=True)
class View:
    """A state of the page. Names are those of the address, after its `#`.

    - `spec`, `tap`, `t`: the first column's features; `spec2`, `tap2`, `t2`: the second's, which is there if `spec2`
      is. `t` is None for features that have no timestep.
    - `video`, `clip`, `text`: of both.
    - `mode`: what lies over the frames. `f`, `x`, `y`: the clicked frame of the clip and point, as shares of the
      video's width and height; None before a click. `centred`: cosines without the clip's mean feature.
    - `fit`: the scale of cosines goes over those seen, and not from 0 to 1.
    - `frame`: the large one. `opacity` of what lies over it; `outlines`: whether masks are drawn; `theme`: of the
      page, or as the system has it.
    """

    spec: str = ""
    tap: str = ""
    t: Timestep | None = None
    spec2: str = ""
    tap2: str = ""
    t2: Timestep | None = None
    video: str = ""
    clip: str = ""
    text: str | None = None
    mode: str = "colours"
    f: int | None = None
    x: float | None = None
    y: float | None = None
    centred: bool = False
    fit: bool = False
    frame: int = 0
    opacity: float = 0.75
    outlines: bool = True
    theme: str = ""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"mode '{self.mode[:80]}' is unknown: {suggest(self.mode, MODES)}")
        if self.theme not in ("", "light", "dark"):
            raise ConfigError(f"theme '{self.theme[:80]}' is unknown; valid: light, dark")
        clicked = [self.f, self.x, self.y]
        if any(value is None for value in clicked) and any(value is not None for value in clicked):
            raise ConfigError("a click is a frame and a point: give f, x and y, or none of them")
        for name in ("x", "y", "opacity"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"{name} (={value}) is a share: give 0 to 1")
        if self.frame < 0 or (self.f or 0) < 0:
            raise ConfigError("frame and f count from 0 on")

    @property
    def address(self) -> str:
        """The part after `#`: what is as by default is left out."""
        default = View()
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return urlencode({name: _spelled(value) for name, value in given.items() if value != getattr(default, name)})


def parse_view(address: str) -> View:
    """The view of a link, or of the part after its `#`. Raises `ConfigError` for what the page never writes."""
    inner = urlsplit(address).fragment if "#" in address else address
    try:
        given = dict(parse_qsl(inner, keep_blank_values=True, strict_parsing=True)) if inner else {}
    except ValueError as error:
        raise ConfigError(f"{shown(address)} is no link to a view; copy it from the page's address") from error
    return build_view(given)


def build_view(given: Mapping[str, str]) -> View:
    """The view of names and texts. Raises `ConfigError`."""
    kinds = {f.name: (get_args(f.type) or (f.type,))[0] for f in fields(View)} | dict.fromkeys(("t", "t2"), float)
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in kinds:
            raise ConfigError(f"a view has no '{name[:80]}': {suggest(name, kinds)}")
        values[name] = _parsed(name, text, kinds[name])
    return replace(View(), **values)


def _parsed(name: str, text: str, kind: Any) -> Any:
    if kind is str:
        return text
    if kind is bool:
        if text in ("0", "1"):
            return text == "1"
        raise ConfigError(f"{name} (={text[:80]}) of a view is 0 or 1")
    try:
        return plain_number(float(text)) if name in ("t", "t2") else kind(text)
    except ValueError as error:
        raise ConfigError(f"{name} (={text[:80]}) of a view is a number") from error


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    # as far as timesteps have decimals
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
