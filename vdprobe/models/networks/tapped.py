"""Any network, tapped: hooks on its modules, and a forward that stops after the last of them.

A tap is the output of a module, or the queries or keys of an attention as its products get them: after their
normalisation and rotary positions. Those are caught where they are used, in torch's `scaled_dot_product_attention`,
while the module that is tapped runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vdprobe.errors import ConfigError, FeatureError, VdprobeError, suggest

Found = TypeVar("Found")
OUTPUT, QUERY, KEY = "output", "query", "key"


@dataclass(frozen=True)
class TapPoint:
    """Where a tap is: the path of a module, as `named_modules()` spells it, and what of it."""

    path: str
    kind: Literal["output", "query", "key"] = "output"


class _Done(Exception):
    """Everything was caught: what follows is not computed."""


def check_points(network: nn.Module, points: Mapping[str, TapPoint]) -> None:
    """Raises `ConfigError` for a tap of a module that the network does not have, with the nearest ones."""
    modules = dict(network.named_modules())
    for tap, point in points.items():
        if point.path not in modules:
            raise ConfigError(f"unknown tap '{tap}': {suggest(point.path, [name for name in modules if name])}")


def run_tapped(network: nn.Module, points: Mapping[str, TapPoint], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What each tap gives in a forward of `arguments`, which stops as soon as all taps are caught.

    Raises `FeatureError` for a tap that the forward does not pass.
    """
    caught: dict[str, Any] = {}

    def keep(tap: str, value: Any) -> None:
        caught.setdefault(tap, value)  # a module that runs twice is tapped the first time
        if len(caught) == len(points):
            raise _Done

    with _hooks(network, points, keep), suppress(_Done):
        network(**arguments)
    if missed := [tap for tap in points if tap not in caught]:
        raise FeatureError(
            f"tap '{missed[0]}' is not on the way through the model: its module gives nothing in a forward (attention "
            "is tapped where torch computes it: diffusers' attention backend must be 'native')"
        )
    return caught


def entered_modules(network: nn.Module, points: Mapping[str, TapPoint], arguments: Mapping[str, Any]) -> set[str]:
    """The paths of the modules that a forward enters before all taps are caught."""
    entered: set[str] = set()
    handles = [
        module.register_forward_pre_hook(lambda *_, path=path: entered.add(path))
        for path, module in network.named_modules()
    ]
    try:
        run_tapped(network, points, arguments)
    finally:
        for handle in handles:
            handle.remove()
    return entered


@contextmanager
def _hooks(network: nn.Module, points: Mapping[str, TapPoint], keep: Callable[[str, Any], None]) -> Iterator[None]:
    """Forward hooks on the modules of all taps, active within the block."""
    outputs = {tap: point.path for tap, point in points.items() if point.kind == OUTPUT}
    attentions: dict[str, dict[str, str]] = {}
    for tap, point in points.items():
        if point.kind != OUTPUT:
            attentions.setdefault(point.path, {})[tap] = point.kind
    watches = [_Watch(taps, keep) for taps in attentions.values()]
    handles = [
        network.get_submodule(path).register_forward_hook(lambda _m, _i, out, tap=tap: keep(tap, out))
        for tap, path in outputs.items()
    ]
    for path, watch in zip(attentions, watches, strict=True):
        module = network.get_submodule(path)
        handles.append(module.register_forward_pre_hook(watch.begin))
        handles.append(module.register_forward_hook(watch.end))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for watch in watches:
            watch.end()


class _Watch:
    """Stands in for `scaled_dot_product_attention` while one attention runs; its first call is the one tapped."""

    def __init__(self, taps: Mapping[str, str], keep: Callable[[str, Any], None]) -> None:
        self.taps, self.keep = taps, keep
        self.original: Callable[..., Tensor] | None = None

    def begin(self, *_: Any) -> None:
        self.original, F.scaled_dot_product_attention = F.scaled_dot_product_attention, self._call

    def end(self, *_: Any) -> None:
        if self.original is not None:
            F.scaled_dot_product_attention, self.original = self.original, None

    def _call(self, query: Tensor, key: Tensor, *rest: Any, **options: Any) -> Tensor:
        original = self.original
        assert original is not None
        self.end()
        for tap, kind in self.taps.items():
            self.keep(tap, query if kind == QUERY else key)
        return original(query, key, *rest, **options)


def needed_tensors(
    make: Callable[[], nn.Module], points: Mapping[str, TapPoint], arguments: Callable[[], Mapping[str, Any]]
) -> set[str] | None:
    """The names of the tensors of all modules that a forward enters before all taps are caught; None for all.

    Found by a forward without values, so that no family has to say what comes before a tap.
    """

    def names(empty: nn.Module) -> set[str]:
        return {
            f"{path}.{name}" if path else name
            for path in entered_modules(empty, points, arguments())
            for module in (empty.get_submodule(path),)
            for tensors in (module.named_parameters(recurse=False), module.named_buffers(recurse=False))
            for name, _ in tensors
        }

    return traced(make, names)


def first_of(value: Any) -> Any:
    """The first of what a module gives: blocks with two streams give their video first."""
    while isinstance(value, Sequence) and not isinstance(value, Tensor | str):
        value = value[0]
    return getattr(value, "sample", value)


def joined_heads(value: Tensor) -> Tensor:
    """Queries or keys (B, heads, N, d) as (B, N, heads d)."""
    return value.transpose(1, 2).flatten(2)


def load_onto_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """A network whose parameters are on the meta device and whose buffers, which no file holds, have their values."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return make().eval().requires_grad_(False)


def traced(make: Callable[[], nn.Module], run: Callable[[nn.Module], Found]) -> Found | None:
    """What `run` gives for a network without values; None where it can only be run with them.

    Some networks look at values on their way, which neither the meta device nor fake tensors have: the last try lets
    them find that every condition holds.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    modes: tuple[tuple[Callable[[], AbstractContextManager[Any]], ...], ...] = (
        (lambda: torch.device("meta"),),
        (lambda: FakeTensorMode(allow_non_fake_inputs=True),),
        (lambda: torch.device("meta"), _EverythingHolds),
    )
    for contexts in modes:
        try:
            with ExitStack() as stack, torch.no_grad():
                for context in contexts:
                    stack.enter_context(context())
                return run(make().eval())
        except VdprobeError:
            raise
        except Exception:  # each network has its own ways to need values
            continue
    return None


class _EverythingHolds(TorchFunctionMode):
    """Answers what tensors without values cannot: a condition is true, and a mask selects all, its negation nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__bool__":
            return True
        if name == "nonzero":
            mask = args[0]
            places = torch.zeros(mask.numel(), mask.ndim, dtype=torch.int64, device=mask.device)
            return places.unbind(1) if (kwargs or {}).get("as_tuple") else places
        if name == "__getitem__" and isinstance(args[1], Tensor) and args[1].dtype == torch.bool:
            return args[0][:0] if getattr(args[1], "negated", False) else args[0]
        value = func(*args, **(kwargs or {}))
        if name in ("__invert__", "bitwise_not"):
            value.negated = True
        return value
