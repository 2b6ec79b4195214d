"""A video transformer up to its last tap.

Shape letters: E expressions, C channels, f h w latent frames, height and width; n r c maps, rows and columns of a tap.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdprobe.errors import FeatureError
from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
from vdprobe.models.networks.from_config import from_config
from vdprobe.models.networks.tapped import (
    TapPoint,
    check_points,
    first_of,
    joined_heads,
    load_onto_meta,
    needed_tensors,
    run_tapped,
)
from vdprobe.models.networks.weights import fill
from vdprobe.models.transformer.facts import FRAME_AS_LATENT, TransformerFacts
from vdprobe.models.transformer.frame_tokens import AdaptedTokens, CrossAttentions, FrameTokens
from vdprobe.models.transformer.taps import head_of, kind_of
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.spans import Spans

SMALL = (1, 4, 4)
"""Latent frames, rows and columns, in patches, of the forward that shows which modules are needed."""


@dataclass(frozen=True)
class TransformerDenoiser:
    """The network with the weights of the modules before the last tap; the others are on the meta device."""

    family: TransformerFacts
    network: nn.Module
    points: Mapping[str, TapPoint]
    settings: Mapping[str, Any]
    attentions: CrossAttentions

    @classmethod
    def load(
        cls,
        family: TransformerFacts,
        taps: Sequence[str],
        settings: Mapping[str, Any],
        dtype: torch.dtype,
        device: torch.device,
        *,
        part: str | None = None,
        whole: bool = False,
    ) -> "TransformerDenoiser":
        """Only the tensors of modules that are entered before all taps are caught are read, unless `whole` is.

        - `part`: of several denoisers, the one to load.
        """
        pipeline, part = family.pipeline, part or family.pipeline.denoiser
        points = tap_points(family, taps)
        network = load_onto_meta(lambda: make_network(family))
        check_points(network, points)
        names = None if whole else needed(family, points, settings)
        kept = getattr(network, "_keep_in_fp32_modules", None) or ()
        fill(network, pipeline.seed(part), lambda: pipeline.weight_files(part), dtype, device, only=names, kept=kept)
        for module in network.modules():
            for name, value in module.named_buffers(recurse=False):
                if value.device.type != "meta":
                    setattr(module, name, value.to(device))
        attentions = CrossAttentions.of([*cross_attentions(family, network)], family.text_shape()[0])
        return cls(family, network.requires_grad_(False).eval(), points, settings, attentions)

    def condition(
        self,
        condition: Condition,
        frames: int,
        text: TextTokens | None,
        image: ImageTokens | None,
        adapter: Adapter | None,
    ) -> TextTokens | AdaptedTokens:
        """The text as it is, or what an adapter makes of it and of the frames that latent frames see."""
        alone = self.settings.get("latent_frames") == FRAME_AS_LATENT
        return condition_tokens(self.family, alone, condition, frames, text, image, adapter)

    def __call__(
        self, latents: Float[Tensor, "C f h w"], level: NoiseLevel, conditions: Iterable[TextTokens | FrameTokens]
    ) -> dict[str, Float[Tensor, "E n _ r c"]]:
        """The taps of one clip under several conditions of one kind at once."""
        seen = tuple(conditions)
        if len(seen) > 1 and not self.family.batched:
            alone = [self(latents, level, (one,)) for one in seen]
            return {tap: torch.cat([taps[tap] for taps in alone]) for tap in self.points}
        grid = token_grid(self.family, latents.shape[1:])
        batch = latents[None].expand(len(seen), -1, -1, -1, -1)
        texts = [one for one in seen if isinstance(one, TextTokens)]
        replaced = [one for one in seen if not isinstance(one, TextTokens)]
        with ExitStack() as stack:
            if replaced:
                check_frames(self.family, replaced, grid[0])
                stack.enter_context(self.attentions.in_place(replaced, self._project))
                texts = [blank_text(self.family, latents)] * len(seen)
            caught = run_tapped(self.network, self.points, self.family.arguments(batch, level, texts, self.settings))
        return {tap: token_maps(self.family, tap, value, grid) for tap, value in caught.items()}

    def predict(
        self, latents: Float[Tensor, "C f h w"], level: NoiseLevel, condition: TextTokens
    ) -> Float[Tensor, "C f h w"]:
        """What the transformer gives for latents under a text."""
        out = self.network(**self.family.arguments(latents[None], level, (condition,), self.settings))[0]
        return self.family.output(out, latents.shape)[0]

    def facts(self, frames: int) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def compile(self) -> None:
        """Compiles each block on its own."""
        for name, _ in self.family.blocks.lists:
            for block in self.network.get_submodule(name).children():
                block.compile()

    def _project(self, hidden: Float[Tensor, "L T"]) -> Float[Tensor, "L D"]:
        """A text at the width of the cross-attentions."""
        return self.network.get_submodule(self.family.caption_projection)(hidden[None])[0]

    def spans(self, tap: str, latents: Spans) -> Spans:
        """The frames of the latent frames of each token."""
        return token_spans(self.family, latents)


def cross_attentions(family: TransformerFacts, network: nn.Module) -> Iterator[nn.Module]:
    """Those of all blocks; none where text and video share their attentions."""
    if family.cross_attention is not None:
        for name, number in family.blocks.lists:
            for index in range(number):
                yield network.get_submodule(f"{name}.{index}.{family.cross_attention}")


def condition_tokens(
    family: TransformerFacts,
    frame_as_latent: bool,
    condition: Condition,
    frames: int,
    text: TextTokens | None,
    image: ImageTokens | None,
    adapter: Adapter | None,
) -> TextTokens | AdaptedTokens:
    """What a clip of `frames` frames is seen under: image tokens are those of the last frame of each span."""
    if condition.form == "raw":
        assert text is not None
        return text
    assert adapter is not None
    latents = family.latent_spans(frames, frame_as_latent=frame_as_latent)
    newest = [end - 1 for _, end in token_spans(family, latents)]
    if image is not None:
        image = ImageTokens(image.hidden[newest], image.projected[newest])
    uses = condition.uses_image
    return AdaptedTokens(condition, len(newest) if uses else 1, text if condition.uses_text else None, image, adapter)


def check_frames(family: TransformerFacts, seen: Sequence[FrameTokens], frames: int) -> None:
    """Raises `FeatureError` for tokens of another number of frames, or of a family that has no place for them."""
    if family.cross_attention is None:
        raise FeatureError(
            f"'{family.pipeline.name}' has no tokens of their own for latent frames: in {family.network_class} text "
            "and video attend to each other"
        )
    for one in seen:
        if len(one.masks) not in (1, frames):
            raise FeatureError(
                f"{len(one.masks)} sets of tokens are given for {frames} latent frames; give one for each"
            )


def blank_text(family: TransformerFacts, latents: Tensor) -> TextTokens:
    """A text whose place is taken."""
    tokens, width = family.text_shape()
    return TextTokens(latents.new_zeros(tokens, width), tokens, latents.new_ones(tokens, dtype=torch.bool))


def make_network(family: TransformerFacts) -> nn.Module:
    """The transformer of a configuration, with values wherever the caller has them made.

    Raises `ModelError` for a configuration that it cannot be made from.
    """
    what = f"part '{family.pipeline.denoiser}' of model '{family.pipeline.name}'"
    network = from_config(family.network_class, family.config, what)
    family.prepare_network(network)
    return network


def tap_points(family: TransformerFacts, taps: Iterable[str]) -> dict[str, TapPoint]:
    """Where in the network canonical taps are; heads of one attention share a place."""
    return {tap: TapPoint(family.blocks.module(tap), kind_of(tap)) for tap in taps}  # type: ignore[arg-type]


def needed(family: TransformerFacts, points: Mapping[str, TapPoint], settings: Mapping[str, Any]) -> set[str] | None:
    """The names of the tensors that are read, None for all."""
    frames, rows, columns = (n * p for n, p in zip(SMALL, family.strides.patch, strict=True))
    return needed_tensors(
        lambda: make_network(family), points, lambda: empty_arguments(family, (frames, rows, columns), settings)
    )


def empty_arguments(
    family: TransformerFacts, size: tuple[int, int, int], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a forward whose tensors have no values, wherever tensors are made."""
    tokens, width = family.text_shape()
    latents = torch.empty(1, family.latent_channels, *size)
    mask, pooled = torch.ones(tokens, dtype=torch.bool), torch.empty(family.pooled_width())
    text = TextTokens(torch.empty(tokens, width), tokens, mask, pooled)
    level = NoiseLevel(timestep=0, signal=1.0, amount=0.0, told=0)
    return family.arguments(latents, level, (text,), settings)


def token_grid(family: TransformerFacts, size: Iterable[int]) -> tuple[int, int, int]:
    """(maps, rows, columns) of a tap, of latents of (frames, height, width)."""
    frames, height, width = (-(-n // p) for n, p in zip(size, family.strides.patch, strict=True))
    return frames, height, width


def token_spans(family: TransformerFacts, latents: Spans) -> Spans:
    """The frames of each token, from those of each latent frame; tokens are filled at the front, as CogVideoX 1.5's."""
    step = family.strides.patch[0]
    starts = range(-(-len(latents) % step), len(latents), step)
    return tuple((latents[max(i, 0)][0], latents[i + step - 1][1]) for i in starts)


def token_maps(
    family: TransformerFacts, tap: str, value: Any, grid: tuple[int, int, int]
) -> Float[Tensor, "E n _ r c"]:
    """What a module gave as one feature map for each latent frame. Raises `FeatureError` for anything else."""
    tokens = first_of(value)
    places = grid[0] * grid[1] * grid[2]
    if kind_of(tap) != "output" and isinstance(tokens, Tensor) and tokens.ndim == 4:
        if (head := head_of(tap)) is not None:
            tokens = tokens[:, head : head + 1]
        tokens = joined_heads(tokens)
        tokens = tokens[:, -places:] if family.text == "first" else tokens[:, :places]
    if not isinstance(tokens, Tensor) or tokens.ndim != 3 or tokens.shape[1] != places:
        shape = tuple(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__
        raise FeatureError(
            f"tap '{tap}' yields {shape}, which is no map over {grid[0]} latent frames and {grid[1]}x{grid[2]} places; "
            "tap the block around it"
        )
    return tokens.unflatten(1, grid).permute(0, 1, 4, 2, 3)
