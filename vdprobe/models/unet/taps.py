"""Names of places in a video UNet.

| name             | what |
|------------------|------|
| `unet.in`        | the stem: the first convolution, or the temporal transformer after it where there is one |
| `unet.down.i`    | what down block i gives, after its downsampler |
| `unet.mid`       | the bottleneck |
| `unet.up.i`      | what up block i gives, after its upsampler |
| `unet.out`       | the prediction |
| `unet.up.i.j.q`  | the queries of the spatial self-attention of transformer j in up block i, all heads side by side |
| `unet.up.i.j.k`  | its keys; so too `unet.down.i.j.q` and `unet.mid.j.q` |
| `unet.up.i.j.q.h`| the queries of head h alone |
| `vae.down.i`, `vae.latents` | of the image VAE |

Any other name is a dotted path into `unet` or `vae.encoder`, as `named_modules()` spells it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from vdprobe.errors import ConfigError, suggest
from vdprobe.models.diffusion.vae_taps import LATENTS
from vdprobe.models.unet3d.taps import canonical_tap as canonical_vae_tap

ATTENTION = re.compile(r"unet\.((?:down|up)\.\d+|mid)\.(\d+)\.(q|k)(?:\.(\d+))?")
PATH = "unet."


def canonical(tap: str, blocks: int, stem: str) -> str:
    """The one name of a place: its alias if it has one, else its module path.

    - `blocks`: the number of down blocks, and of up blocks. `stem`: the path of the module that `unet.in` names.

    Raises `ConfigError` for a name of no place, with the nearest ones.
    """
    if tap.startswith("vae."):
        return canonical_vae_tap(tap)
    for alias, path in _aliases(blocks, stem).items():
        if tap in (alias, f"{PATH}{path}"):
            return alias
    attention = ATTENTION.fullmatch(tap)
    if attention and f"{PATH}{attention[1]}" in _aliases(blocks, stem):
        return tap
    # `unet.down...`, `unet.up...` and `unet.mid...` are no modules of any UNet here: what is left is a path
    if tap.startswith(PATH) and not re.match(r"unet\.(down|up|mid|in|out)(\.|$)", tap):
        return tap
    names = [*_aliases(blocks, stem), "unet.up.1.0.q", "unet.up.1.0.k", "vae.down.0", LATENTS]
    raise ConfigError(
        f"unknown tap '{tap}': this model has unet.in, unet.down.0 to unet.down.{blocks - 1}, unet.mid, unet.up.0 to "
        f"unet.up.{blocks - 1}, unet.out, queries and keys of spatial attentions such as unet.up.1.0.q (of one head: "
        f"unet.up.1.0.q.0), vae.down.0, {LATENTS}, and module paths below 'unet.' and 'vae.encoder.'; "
        f"{suggest(tap, names)}"
    )


def module_path(tap: str, blocks: int, stem: str) -> str:
    """The path of the module of a canonical tap below the UNet."""
    if found := ATTENTION.fullmatch(tap):
        block = _aliases(blocks, stem)[f"{PATH}{found[1]}"]
        return f"{block}.attentions.{found[2]}.transformer_blocks.0.attn1"
    return _aliases(blocks, stem).get(tap, tap.removeprefix(PATH))


def expand(names: Iterable[str], sets: Mapping[str, Sequence[str]], blocks: int, stem: str) -> tuple[str, ...]:
    """Canonical names, each once, in the order given; names of `sets` stand for theirs."""
    taps = dict.fromkeys(canonical(tap, blocks, stem) for name in names for tap in sets.get(name, (name,)))
    if not taps:
        raise ConfigError("no tap is asked for; name at least one, such as unet.up.1")
    return tuple(taps)


def block_taps(blocks: int, stem: str) -> list[str]:
    """The taps of the stem, of every block and of the output, in order of computation."""
    return list(_aliases(blocks, stem))


def kind_of(tap: str) -> Literal["output", "query", "key"]:
    """What of its module a tap is."""
    found = ATTENTION.fullmatch(tap)
    if not found:
        return "output"
    return "query" if found[3] == "q" else "key"


def head_of(tap: str) -> int | None:
    """The head that a tap is of alone, None for all of them."""
    found = ATTENTION.fullmatch(tap)
    return int(found[4]) if found and found[4] is not None else None


def _aliases(blocks: int, stem: str) -> dict[str, str]:
    """Alias to module path, in order of computation."""
    down = {f"unet.down.{i}": f"down_blocks.{i}" for i in range(blocks)}
    up = {f"unet.up.{i}": f"up_blocks.{i}" for i in range(blocks)}
    return {"unet.in": stem, **down, "unet.mid": "mid_block", **up, "unet.out": "conv_out"}
