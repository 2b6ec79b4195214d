"""Names of places in the network: aliases, dotted module paths, and the sets that studies use.

| alias         | module path                         | what |
|---------------|-------------------------------------|------|
| `unet.in`     | `unet.transformer_in`               | stem: conv_in and the first temporal transformer, stride 8 |
| `unet.down.i` | `unet.down_blocks.i`                | output of down block i, after its downsampler |
| `unet.mid`    | `unet.mid_block`                    | the bottleneck |
| `unet.up.i`   | `unet.up_blocks.i`                  | output of up block i, after its upsampler |
| `unet.out`    | `unet.conv_out`                     | the predicted noise |
| `vae.down.i`  | `vae.encoder.down_blocks.i.resnets.-1` | last residual block of encoder block i, stride 2**i |
| `vae.latents` | none                                | the posterior's mean, scaled as the UNet gets it, stride 8 |

Any other name is a dotted path into `unet` or `vae.encoder`, as `named_modules()` spells it.
"""

import re
from collections.abc import Iterable

from vdprobe.errors import ConfigError
from vdprobe.models.diffusion.vae_taps import LATENTS

VDIT_TAPS = (
    "unet.in",
    "unet.down.0",
    "unet.down.1",
    "unet.up.0",
    "unet.up.1",
    "unet.up.2",
    "vae.down.2",
)
"""What VD-IT reads: six UNet taps and the VAE at stride 4 (official train_itcross_pn.py)."""

VDIT_LEVELS = (
    ("vae.down.2",),
    ("unet.in", "unet.up.2"),
    ("unet.down.0", "unet.up.1"),
    ("unet.down.1", "unet.up.0"),
)
"""The taps that VD-IT concatenates into its four levels, at strides 4, 8, 16 and 32."""

TAP_SETS = {"vd-it": VDIT_TAPS}

_ALIASES = (
    (r"unet\.in", r"unet\.transformer_in", "unet.in", "unet.transformer_in"),
    (r"unet\.down\.(\d+)", r"unet\.down_blocks\.(\d+)", r"unet.down.\1", r"unet.down_blocks.\1"),
    (r"unet\.mid", r"unet\.mid_block", "unet.mid", "unet.mid_block"),
    (r"unet\.up\.(\d+)", r"unet\.up_blocks\.(\d+)", r"unet.up.\1", r"unet.up_blocks.\1"),
    (r"unet\.out", r"unet\.conv_out", "unet.out", "unet.conv_out"),
)
_VAE_ALIAS = re.compile(r"vae\.down\.(\d+)")


def canonical_tap(name: str) -> str:
    """The one name of a place, for keys and stores: its alias if it has one, else its module path."""
    for alias, path, short, _ in _ALIASES:
        for pattern in (alias, path):
            match = re.fullmatch(pattern, name)
            if match:
                return match.expand(short)
    if name != LATENTS and not _VAE_ALIAS.fullmatch(name) and not name.startswith(("unet.", "vae.encoder.")):
        raise ConfigError(
            f"tap '{name}' is neither an alias (unet.in, unet.down.0, unet.mid, unet.up.0, unet.out, vae.down.2, "
            "vae.latents, ...) nor a module path under 'unet.' or 'vae.encoder.'; list them with: vdprobe layers MODEL"
        )
    return name


def module_path(tap: str) -> str:
    """Where a tap is, as `named_modules()` spells it; `vae.down.i` ends in `resnets.-1`, the last one."""
    for alias, _, _, path in _ALIASES:
        match = re.fullmatch(alias, tap)
        if match:
            return match.expand(path)
    return _VAE_ALIAS.sub(r"vae.encoder.down_blocks.\1.resnets.-1", tap)


def expand_taps(names: Iterable[str]) -> tuple[str, ...]:
    """Canonical names of aliases, paths and sets (`vd-it`), each once, in the order given."""
    spelled = [tap for name in names for tap in TAP_SETS.get(name, (name,))]
    taps = dict.fromkeys(canonical_tap(tap) for tap in spelled)
    if not taps:
        raise ConfigError("no tap is asked for; name at least one, or the set 'vd-it'")
    return tuple(taps)
