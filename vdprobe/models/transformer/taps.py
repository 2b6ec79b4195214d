"""Names of places in a video transformer.

| name           | what |
|----------------|------|
| `blocks.i`     | the hidden states that block i gives: its video tokens, on the grid of latents and patches |
| `blocks.i.q`   | the queries of its self-attention, after normalisation and rotary positions, all heads side by side |
| `blocks.i.k`   | its keys |
| `blocks.i.q.h` | the queries of head h alone |
| `vae.latents`  | the posterior's mean, scaled as the transformer gets it |

Any other name is a dotted path below `transformer.`, as `named_modules()` spells it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vdprobe.errors import ConfigError, suggest
from vdprobe.models.diffusion.vae_taps import LATENTS

BLOCK = re.compile(r"blocks\.(\d+)(?:\.(q|k)(?:\.(\d+))?)?")
PATH = "transformer."


@dataclass(frozen=True)
class BlockNames:
    """The blocks of a transformer, which may be in several lists, counted through.

    - `lists`: (name of the list, number of its blocks), in order of computation.
    - `attentions`: where in a block of each list its self-attention is.
    - `heads`: of the self-attention.
    """

    lists: tuple[tuple[str, int], ...]
    attentions: tuple[str, ...]
    heads: int

    @property
    def count(self) -> int:
        """How many blocks all lists have together."""
        return sum(number for _, number in self.lists)

    def module(self, tap: str) -> str:
        """The path of the module of a canonical tap."""
        found = BLOCK.fullmatch(tap)
        if not found:
            return tap.removeprefix(PATH)
        index = int(found[1])
        for (name, number), attention in zip(self.lists, self.attentions, strict=True):
            if index < number:
                return f"{name}.{index}" if found[2] is None else f"{name}.{index}.{attention}"
            index -= number
        raise ConfigError(self.unknown(tap))

    def canonical(self, tap: str) -> str:
        """The one name of a place. Raises `ConfigError` for a name of no place, with the nearest ones."""
        if tap == LATENTS:
            return tap
        found = BLOCK.fullmatch(tap)
        if found is None and tap.startswith(PATH):
            before = 0
            for name, number in self.lists:
                path = re.fullmatch(re.escape(f"{PATH}{name}.") + r"(\d+)", tap)
                if path and int(path[1]) < number:
                    return f"blocks.{before + int(path[1])}"
                before += number
            return tap
        if found is None or int(found[1]) >= self.count or (found[3] is not None and int(found[3]) >= self.heads):
            raise ConfigError(self.unknown(tap))
        return ".".join(
            ["blocks", str(int(found[1])), *([found[2]] if found[2] else []), *([found[3]] if found[3] else [])]
        )

    def unknown(self, tap: str) -> str:
        """What to say of a name of no place."""
        nearest = suggest(tap, [LATENTS, *(f"blocks.{i}" for i in range(self.count))])
        return (
            f"unknown tap '{tap}': this model has blocks.0 to blocks.{self.count - 1}, their queries and keys such as "
            f"blocks.0.q and blocks.0.k (of one of {self.heads} heads: blocks.0.q.0), {LATENTS}, and module paths "
            f"below '{PATH}'; {nearest}"
        )


def expand(names: Iterable[str], sets: Mapping[str, Sequence[str]], blocks: BlockNames) -> tuple[str, ...]:
    """Canonical names, each once, in the order given; names of `sets` stand for theirs."""
    taps = dict.fromkeys(blocks.canonical(tap) for name in names for tap in sets.get(name, (name,)))
    if not taps:
        raise ConfigError(f"no tap is asked for; name at least one, such as blocks.{blocks.count // 2}")
    return tuple(taps)


def kind_of(tap: str) -> str:
    """`output`, `query` or `key`."""
    found = BLOCK.fullmatch(tap)
    return {"q": "query", "k": "key"}.get(found[2] or "", "output") if found else "output"


def head_of(tap: str) -> int | None:
    """The head that a tap is of alone, None for all of them."""
    found = BLOCK.fullmatch(tap)
    return int(found[3]) if found and found[3] is not None else None
