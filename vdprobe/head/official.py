"""The trained parts of an official VD-IT state dict under our names, and back.

The adapter's names are in `vdprobe.models.diffusion.adapter`; here are those of the neck and the head.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vdprobe.errors import ModelError
from vdprobe.head.config import Four, HeadConfig
from vdprobe.head.deformable import POINTS
from vdprobe.head.head import Head
from vdprobe.head.transformer import LEVELS
from vdprobe.models.diffusion.adapter import OFFICIAL_NAMES as ADAPTER_NAMES
from vdprobe.models.diffusion.adapter import OFFICIAL_PREFIX, Adapter, make_adapter, rename_official

OFFICIAL_NAMES = (
    (f"{OFFICIAL_PREFIX}act_postprocess.", "neck."),
    *((f"{OFFICIAL_PREFIX}act_{i + 1}_postprocess.", f"neck.{i}.") for i in range(4)),
    ("query_tensors", "queries.tokens"),
    ("text_proj.fc.", "queries.fc."),
    ("text_proj.layer_norm.", "queries.layer_norm."),
    ("fusion_module.multihead_attn.", "queries.attention."),
    ("input_proj.", "projections."),
    ("transformer.level_embed", "encoder.level_embed"),
    ("transformer.encoder.layers.", "encoder.layers."),
    ("query_embed.weight", "decoder.positions"),
    ("transformer.reference_points.", "decoder.reference."),
    ("transformer.decoder.layers.", "decoder.layers."),
    ("class_embed.", "decoder.scores."),
    ("bbox_embed.", "decoder.boxes."),
    ("transformer.decoder.bbox_embed.", "decoder.boxes."),
    ("controller.", "controller."),
    ("mask_refine.conv1_1div8.", "refiner.coarse1."),
    ("mask_refine.conv2_1div8.", "refiner.coarse2."),
    ("mask_refine.conv1_1div4.", "refiner.fine1."),
    ("mask_refine.conv2_1div4.", "refiner.fine2."),
)
"""Official prefixes, and ours. The neck and the boxes are in a checkpoint twice."""

UNUSED = ("sentence_proj.",)
"""In a checkpoint, frozen at its random start, and in no result."""

FROZEN = (
    *(f"{OFFICIAL_PREFIX}{part}." for part in ("unet", "vae", "text_encoder", "cv_model")),
    "text_encoder.text_backbone.",
)
"""The public models that a checkpoint repeats."""


def our_name(official: str) -> str | None:
    """The head's name of an official tensor, None where it is no part of the head."""
    for theirs, ours in OFFICIAL_NAMES:
        if official.startswith(theirs):
            return ours + official.removeprefix(theirs)
    return None


def official_names(name: str) -> list[str]:
    """All official names of one of the head's tensors."""
    return [theirs + name.removeprefix(ours) for theirs, ours in OFFICIAL_NAMES if name.startswith(ours)]


def to_official(head: nn.Module) -> dict[str, Tensor]:
    """A head's tensors under all of their official names: all that a checkpoint holds of it, but `UNUSED`."""
    return {official: tensor for name, tensor in head.state_dict().items() for official in official_names(name)}


def check_names(names: Sequence[str]) -> None:
    """Raises `ModelError` for a name that is no part of the official model: its meaning is not known."""
    adapter = tuple(OFFICIAL_PREFIX + prefix for prefix in ADAPTER_NAMES)
    unknown = [n for n in names if our_name(n) is None and not n.startswith((*adapter, *UNUSED, *FROZEN))]
    if unknown:
        raise ModelError(f"{_some(unknown)}: no part of the official VD-IT model at e44bd79; only that can be read")


def read_adapter(tensors: Mapping[str, Tensor]) -> Adapter:
    """The adapter in an official state dict; what is no part of it is left out.

    Raises `ModelError` for a missing tensor, or one of another shape.
    """
    state = {name: tensor.float() for name, tensor in rename_official(tensors).items()}
    hidden, width = _shape(state, "text_image_attention.linear1.weight")[:2]
    adapter = make_adapter(
        width=width,
        image_width=_shape(state, "image_projection.linear1.weight")[1],
        latent_channels=_shape(state, "noise_predictor.conv.weight")[0],
        hidden=hidden,
    )
    adapter.text_projection = None  # the official model has none
    _fill(adapter, state)
    return adapter


def read_head(tensors: Mapping[str, Tensor]) -> Head:
    """The head in an official state dict; what is no part of it is left out.

    Raises `ModelError` for a missing tensor, one of another shape, or two that should be one and differ.
    """
    state: dict[str, Tensor] = {}
    for official, tensor in tensors.items():
        name = our_name(official)
        if name is None:
            continue
        if name in state and not torch.equal(state[name], tensor.float()):
            twice = " and ".join(n for n in official_names(name) if n in tensors)
            raise ModelError(f"{twice} are one tensor in the official model and differ here: which is meant?")
        state[name] = tensor.float()
    head = Head(infer_config(state))
    _fill(head, state)
    return head


def infer_config(state: Mapping[str, Tensor]) -> HeadConfig:
    """The sizes of a head, from its tensors. Raises `ModelError` where one that tells them is missing."""

    def four(layer: int, axis: int) -> Four:
        a, b, c, d = (_shape(state, f"neck.{i}.{layer}.weight")[axis] for i in range(4))
        return a, b, c, d

    def count(prefix: str) -> int:
        return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})

    width, text_width = _shape(state, "queries.fc.weight")[:2]
    return HeadConfig(
        level_widths=four(0, 1),
        neck_hidden=four(0, 0),
        neck_widths=four(1, 0),
        text_width=text_width,
        width=width,
        heads=_shape(state, "encoder.layers.0.self_attn.attention_weights.weight")[0] // (LEVELS * POINTS),
        encoder_layers=count("encoder.layers."),
        decoder_layers=count("decoder.layers."),
        feedforward=_shape(state, "encoder.layers.0.linear1.weight")[0],
        queries=_shape(state, "queries.tokens")[0],
        standardised="standards.0.mean" in state,
    )


def _fill(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    expected = module.state_dict()
    missing = [_official(name) for name in expected if name not in state]
    if missing:
        raise ModelError(f"the checkpoint has no {_some(missing)}: it is incomplete")
    for name, tensor in state.items():
        there = tuple(expected[name].shape) if name in expected else None
        if there != tuple(tensor.shape):
            raise ModelError(
                f"{_official(name)} has shape {tuple(tensor.shape)}, by the other tensors it should have {there}: the "
                "checkpoint is of another architecture"
            )
    module.load_state_dict(state)


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in state:
        raise ModelError(f"the checkpoint has no {_official(name)}: it is incomplete, or none of VD-IT")
    if state[name].ndim < 2:
        raise ModelError(f"{_official(name)} has shape {tuple(state[name].shape)}, it should be a matrix: not VD-IT's")
    return tuple(state[name].shape)


def _official(name: str) -> str:
    adapter = [OFFICIAL_PREFIX + t + name.removeprefix(o) for t, o in ADAPTER_NAMES.items() if name.startswith(o)]
    return (official_names(name) + adapter)[0]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
