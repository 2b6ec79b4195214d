"""What pixels, vision models and Video Swin have in common: features of frames, given nothing but the frames.

Nothing here imports torch: what a control is called and who it is can be told before it is loaded.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from vdprobe.errors import ConfigError, suggest
from vdprobe.specs.features import ModelIdentity
from vdprobe.specs.layer import Layer

if TYPE_CHECKING:
    import torch

    from vdprobe.controls.frame_maps import FrameMaps


@runtime_checkable
class Control(Protocol):
    """A control that is found but not loaded."""

    @property
    def name(self) -> str:
        """As the user gave it; an id includes its resolved revision."""

    @property
    def taps(self) -> tuple[str, ...]:
        """All of them, in order of computation."""

    @property
    def default_taps(self) -> tuple[str, ...]:
        """Those of an extraction that names none."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to every clip and a reader of the features should know."""

    def identity(self) -> ModelIdentity:
        """The control by content."""

    def layers(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> list[Layer]:
        """`taps` of a clip whose padded frames have `height` x `width` pixels; no weights are read."""

    def load(self, taps: Sequence[str], dtype: "torch.dtype", device: "torch.device") -> "FrameMaps":
        """What turns frames into the values of `taps`."""


def pick_taps(control: Control, names: Iterable[str] | None) -> tuple[str, ...]:
    """The taps called `names`, each once; the control's default for None.

    Raises `ConfigError` for a name that the control does not have, or when there is none.
    """
    taps = control.default_taps if names is None else tuple(dict.fromkeys(names))
    if not taps:
        raise ConfigError(f"no tap of '{control.name}' is asked for; valid: {', '.join(control.taps)}")
    for tap in taps:
        if tap not in control.taps:
            raise ConfigError(f"'{control.name}' has no tap '{tap}': {suggest(tap, control.taps)}")
    return taps
