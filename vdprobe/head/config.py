"""The sizes of a head."""

from dataclasses import dataclass

from vdprobe.errors import ConfigError

PATCH = 4
"""A cell's side in places of the finer grid: its PATCH x PATCH logits are 16 channels (`pixel_shuffle`)."""
MASK_CHANNELS = PATCH * PATCH
STRIDES = (4, 8, 16, 32)
"""Pixels per place of the four levels."""
TEXT_HEADS = 8
"""Attention heads through which the queries read the words (fixed in the official diffvos_cross.py)."""
GROUPS = 32
"""Of the group norms behind the projections (fixed there too)."""

Four = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class HeadSizes:
    """What is free to choose of a head; by default that of VD-IT (official opts.py and README).

    - `neck_hidden`, `neck_widths`: channels that the neck makes of the four levels, one after the other.
    - `width`: of everything inside. `heads`: of the transformer's attention. `feedforward`: its hidden width.
    - `queries`: guesses a clip; the best one is the answer.
    """

    neck_hidden: Four = (256, 512, 1024, 1024)
    neck_widths: Four = (128, 256, 512, 1024)
    width: int = 256
    heads: int = 8
    encoder_layers: int = 4
    decoder_layers: int = 4
    feedforward: int = 2048
    queries: int = 5
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("heads", "encoder_layers", "decoder_layers", "feedforward", "queries"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} (={getattr(self, name)}) must be at least 1")
        for name in ("neck_hidden", "neck_widths"):
            _check_channels(name, getattr(self, name))
        if self.width < 1 or self.width % GROUPS or self.width % self.heads:
            raise ConfigError(f"width (={self.width}) must be a multiple of {GROUPS} and of heads (={self.heads})")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout (={self.dropout}) is a share: at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class HeadConfig(HeadSizes):
    """A head: with what the features and the text encoder decide.

    - `level_widths`: channels of the four levels (`merge_levels`), finest first; by default ModelScopeT2V's.
    - `text_width`: of a word (RoBERTa-base: 768).
    - `standardised`: whether channels are standardised before the neck (`standards.py`); the official head has none.
    """

    level_widths: Four = (512, 960, 1600, 1920)
    text_width: int = 768
    standardised: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_channels("level_widths", self.level_widths)
        if self.text_width < 1:
            raise ConfigError(f"text_width (={self.text_width}) must be at least 1")


def _check_channels(name: str, widths: Four) -> None:
    if min(widths) < 1:
        raise ConfigError(f"{name} (={widths}) are channels: each at least 1")
