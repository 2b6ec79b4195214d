"""VD-IT's head: queries that know the text look for one object in every frame (official diffvos_cross.py).

Shape letters: B clips, F frames of a clip, N = B F, L words, T width of a word, Q queries, K decoder
layers, D width, H W height and width of the padded frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from vdprobe.errors import ModelError
from vdprobe.head.config import GROUPS, STRIDES, TEXT_HEADS, HeadConfig
from vdprobe.head.dropout import ClipDropout
from vdprobe.head.masks import MaskRefiner, dynamic_masks, parameter_count, unfold_patches
from vdprobe.head.matching import match
from vdprobe.head.outputs import LayerOutput, Segmentation, Target
from vdprobe.head.positions import padding_masks, word_positions
from vdprobe.head.standards import Standard, Statistics
from vdprobe.head.transformer import MLP, Decoder, Encoder
from vdprobe.models.networks.group_norm import GroupNorm


class TextQueries(nn.Module):
    """Learned tokens, each multiplied by what it reads in the words."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        width = config.width
        self.tokens = nn.Parameter(torch.randn(config.queries, width))
        self.fc = nn.Linear(config.text_width, width)
        self.layer_norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = ClipDropout(config.dropout)
        self.attention = nn.MultiheadAttention(width, TEXT_HEADS, batch_first=True)

    def forward(self, words: Float[Tensor, "B L T"], padding: Bool[Tensor, "B L"]) -> Float[Tensor, "B Q D"]:
        """The queries of each clip."""
        text = self.dropout(self.layer_norm(self.fc(words)), padding)
        keys = text + word_positions(padding, text.shape[-1]).to(text.dtype)
        tokens = self.tokens.expand(len(words), -1, -1)
        return tokens * self.attention(tokens, keys, text, key_padding_mask=padding, need_weights=False)[0]


@dataclass(frozen=True)
class Guesses:
    """All that is known before masks are made.

    - `hidden`, `logits`, `boxes`, `points`: of every decoder layer, as in `Decoded`.
    - `fine`, `coarse`: the neck's levels at strides 4 and 8. `features`: what the mask networks run over.
    - `scale`: (width, height) of each clip's picture, in pixels.
    """

    hidden: Float[Tensor, "K B F Q D"]
    logits: Float[Tensor, "K B F Q"]
    boxes: Float[Tensor, "K B F Q 4"]
    points: Float[Tensor, "K B F Q 2"]
    fine: Float[Tensor, "N _ _ _"]
    coarse: Float[Tensor, "N _ h w"]
    features: Float[Tensor, "N D h w"]
    scale: Float[Tensor, "B 2"]

    @property
    def scores(self) -> Float[Tensor, "B F Q"]:
        """How sure the last layer is of each query in each frame, in [0, 1]."""
        return torch.sigmoid(self.logits[-1])


class Head(nn.Module):
    """The head, untrained: drawn from `seed`, as the official code draws it.

    `forward` makes guesses, of which `best` takes one (official inference), `chosen` the one that is said
    (where a video is longer than a clip), `every` all (as A2D, JHMDB and RefCOCO score them) and `matched`
    those that fit a target (training).
    """

    def __init__(self, config: HeadConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            self.standards = nn.ModuleList(map(Standard, config.level_widths if config.standardised else ()))
            widths = zip(config.level_widths, config.neck_hidden, config.neck_widths, strict=True)
            self.neck = nn.ModuleList(
                nn.Sequential(nn.Conv2d(width, hidden, 1), nn.Conv2d(hidden, out, 1)) for width, hidden, out in widths
            )
            self.queries = TextQueries(config)
            convs = [nn.Conv2d(width, config.width, 1) for width in config.neck_widths[1:]]
            convs.append(nn.Conv2d(config.neck_widths[-1], config.width, 3, stride=2, padding=1))
            self.projections = nn.ModuleList(nn.Sequential(conv, GroupNorm(GROUPS, config.width)) for conv in convs)
            self.encoder = Encoder(config)
            self.decoder = Decoder(config)
            self.controller = MLP(config.width, parameter_count(config.width))
            self.refiner = MaskRefiner(config.neck_widths[1], config.neck_widths[0])
            for layer in (*convs, *self.controller.layers):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(
        self,
        levels: Sequence[Float[Tensor, "N _ _ _"]],
        words: Float[Tensor, "B L T"],
        word_padding: Bool[Tensor, "B L"],
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> Guesses:
        """Every query's score and box in every frame.

        - `levels`: features at strides 4, 8, 16, 32 (`merge_levels`), frame after frame, clip after clip.
        - `words`, `word_padding`: last hidden state of the text encoder; True where there is no word.
        - `sizes`: (height, width) in pixels of each clip's picture in its frames; None: all of the frame.

        Raises `ModelError` where they do not fit the head or one another.
        """
        self._check(levels, words, sizes)
        clips, device = len(words), words.device
        padded = _padded(levels[0])
        sizes = sizes or [padded] * clips
        if self.standards:
            levels = [standard(level) for standard, level in zip(self.standards, levels, strict=True)]
        fine, *others = (layer(level) for layer, level in zip(self.neck, levels, strict=True))
        # The fourth level, at stride 64, is made of the third's features, before its projection.
        projected = [layer(level) for layer, level in zip(self.projections, (*others, others[-1]), strict=True)]
        frames = len(fine) // clips
        shapes = [(level.shape[2], level.shape[3]) for level in projected]
        padding = [mask.repeat_interleave(frames, 0) for mask in padding_masks(sizes, padded, shapes, device)]
        memory, grids = self.encoder(projected, padding)
        tokens = self.queries(words, word_padding).repeat_interleave(frames, 0)
        decoded = self.decoder(tokens, memory, grids)
        maps = memory.mT.split([height * width for height, width in shapes], dim=-1)
        maps = [
            functional.interpolate(places.unflatten(-1, shape), size=shapes[0], mode="bicubic")
            for places, shape in zip(maps[:-1], shapes[:-1], strict=True)
        ]
        return Guesses(
            hidden=decoded.hidden.unflatten(1, (clips, -1)),
            logits=decoded.logits.unflatten(1, (clips, -1)),
            boxes=decoded.boxes.unflatten(1, (clips, -1)),
            points=decoded.points.unflatten(1, (clips, -1)),
            fine=fine,
            coarse=others[0],
            features=torch.stack(maps).sum(0),
            scale=torch.tensor([(width, height) for height, width in sizes], dtype=torch.float32, device=device),
        )

    def standardise(self, found: Sequence[Statistics]) -> None:
        """Takes these statistics of the levels' channels from now on; only of a head whose configuration says so."""
        for standard, statistics in zip(self.standards, found, strict=True):
            cast(Standard, standard).take(statistics)

    def best(self, guesses: Guesses) -> Segmentation:
        """The query whose score is highest in the mean over the clip's frames."""
        return self.chosen(guesses, guesses.scores.mean(1).argmax(1))

    def chosen(self, guesses: Guesses, query: Int[Tensor, " B"]) -> Segmentation:
        """The query of that number in each clip."""
        logits, boxes, points = guesses.logits[-1], guesses.boxes[-1], guesses.points[-1]
        hidden, *others = (_pick(x, query)[:, :, None] for x in (guesses.hidden[-1], logits, boxes, points))
        patches = self._patches(guesses, hidden, others[1])
        masks = self._refine(guesses, patches[:, :, 0])[:, :, None]
        return Segmentation(logits=others[0], boxes=others[1], masks=masks, points=others[2])

    def every(self, guesses: Guesses) -> Segmentation:
        """All queries, in their order."""
        patches = self._patches(guesses, guesses.hidden[-1], guesses.boxes[-1])
        masks = torch.stack([self._refine(guesses, query) for query in patches.unbind(2)], dim=2)
        return Segmentation(guesses.logits[-1], guesses.boxes[-1], masks, guesses.points[-1])

    def matched(self, guesses: Guesses, target: Target) -> list[LayerOutput]:
        """What every decoder layer says, for `head_losses`; each layer has its own matched query.

        Raises `ModelError` for masks of another size than the frames.
        """
        size, padded = tuple(target.masks.shape[-2:]), _padded(guesses.fine)
        if size != padded:
            raise ModelError(
                f"the target's masks have {size[0]}x{size[1]} pixels, the frames {padded[0]}x{padded[1]}; pad them as "
                "the frames are"
            )
        outputs = []
        for hidden, logits, boxes in zip(guesses.hidden, guesses.logits, guesses.boxes, strict=True):
            patches = self._patches(guesses, hidden, boxes)
            coarse = unfold_patches(patches)
            query = match(logits, boxes, coarse, target)
            masks = self._refine(guesses, _pick(patches, query))
            outputs.append(LayerOutput(logits, boxes, query, masks, _pick(coarse, query)))
        return outputs

    def _patches(
        self, guesses: Guesses, hidden: Float[Tensor, "B F Q D"], boxes: Float[Tensor, "B F Q 4"]
    ) -> Float[Tensor, "B F Q 16 h w"]:
        # Where a query looks is learnt from the boxes alone.
        centres = boxes[..., :2].detach() * guesses.scale[:, None, None]
        parameters = self.controller(hidden).flatten(0, 1)
        return dynamic_masks(guesses.features, parameters, centres.flatten(0, 1)).unflatten(0, boxes.shape[:2])

    def _refine(self, guesses: Guesses, patches: Float[Tensor, "B F 16 h w"]) -> Float[Tensor, "B F H W"]:
        masks = self.refiner(patches.flatten(0, 1), guesses.coarse, guesses.fine)
        return masks.unflatten(0, patches.shape[:2])

    def _check(self, levels: Sequence[Tensor], words: Tensor, sizes: Sequence[tuple[int, int]] | None) -> None:
        widths, clips = tuple(level.shape[1] for level in levels), len(words)
        if widths != self.config.level_widths:
            raise ModelError(
                f"the head reads levels of {self.config.level_widths} channels, these have {widths}; give what "
                "merge_levels makes of the model that it was trained on"
            )
        if words.shape[-1] != self.config.text_width:
            raise ModelError(
                f"the head reads words of width {self.config.text_width}, these have {words.shape[-1]}; give what the "
                "text encoder that it was trained on makes"
            )
        if len(levels[0]) % clips:
            raise ModelError(f"{len(levels[0])} frames are not {clips} clips of one length; give words for every clip")
        if sizes is not None and len(sizes) != clips:
            raise ModelError(f"sizes are given for {len(sizes)} of {clips} clips; give one for each")


def _padded(finest: Tensor) -> tuple[int, int]:
    """(height, width) of the frames that a level at stride 4 comes from, in pixels."""
    return finest.shape[2] * STRIDES[0], finest.shape[3] * STRIDES[0]


def _pick(x: Float[Tensor, "B F Q *rest"], query: Int[Tensor, " B"]) -> Float[Tensor, "B F *rest"]:
    """The query of each clip."""
    return x[torch.arange(len(query), device=query.device), :, query]
