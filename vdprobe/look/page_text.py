"""The page as one text: its styles, its script and what it is given lie in it, so that nothing else is loaded."""

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

import numpy as np

SCRIPTS = ("address.js", "source.js", "choices.js", "column.js", "timeline.js", "save.js", "begin.js")
"""One script in the page, in this order."""
STEPS = 256
"""Colours of a scale."""


def page_text(given: dict[str, Any]) -> str:
    """The page with what its script is `given`; a policy in it forbids every request to another place."""
    folder = files("vdprobe.look") / "page"
    page, style = ((folder / name).read_text("utf-8") for name in ("page.html", "look.css"))
    script = "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    data = _as_script({**given, "scale": colour_scale()})
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in (data, script))
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'sha256-{_hash(style)}'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    parts = {"policy": policy, "style": style, "data": data, "script": script}
    return re.sub(r"\{(policy|style|data|script)\}", lambda found: parts[found[1]], page)


def colour_scale() -> str:
    """The colours of cosines from low to high: RGB bytes in base 64, of a scale that is even to the eye."""
    from matplotlib import colormaps

    colours = colormaps["inferno"](np.linspace(0, 1, STEPS))[:, :3]
    return base64.b64encode(np.rint(colours * 255).astype(np.uint8).tobytes()).decode()


def _as_script(value: Any) -> str:
    """JSON that cannot end the element it stands in, whatever the names and texts in it are."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"window.GIVEN={text}"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
