"""Which form a condition or a noise takes with a given adapter. Needs no torch.

`fingerprints` is what `Adapter.fingerprints()` gives, empty without an adapter.
"""

from collections.abc import Mapping

from vdprobe.errors import ModelError
from vdprobe.specs.canonical import canonical_hash
from vdprobe.specs.features import Condition, ConditionKind, Noise, NoiseKind

Cell = tuple[ConditionKind, NoiseKind]
"""A cell of a grid: what is trained or resolved apart from its neighbours."""
EMPTY_TEXT = Condition(kind="vd-t", form="raw")
"""What an inversion is conditioned on."""
NO_ADAPTER = "none"
"""In place of an adapter's name: the raw forms, also of a model that comes with adapters."""
ADAPTER_PARTS: dict[ConditionKind, tuple[str, ...]] = {
    "vd-i": ("image_projection",),
    "vd-t": ("text_projection",),
    "vd-it": ("image_projection", "text_image_attention"),
    "concat": ("image_projection",),
}
"""The adapter parts that each condition goes through when the adapter has them."""


def resolve_condition(kind: ConditionKind, fingerprints: Mapping[str, str]) -> Condition:
    """Trained where the adapter has the parts, raw otherwise.

    Raises `ModelError` for `vd-it` without its parts: text attending to image tokens has no meaning
    before it is trained.
    """
    parts = ADAPTER_PARTS[kind]
    if all(part in fingerprints for part in parts):
        return Condition(kind=kind, form="adapter", adapter=canonical_hash([fingerprints[part] for part in parts]))
    if kind == "vd-it":
        has = f"this one has {', '.join(fingerprints)}" if fingerprints else "none is given"
        raise ModelError(
            f"condition 'vd-it' needs an adapter with {' and '.join(parts)}; {has}: give --adapter FILE (or "
            "--adapter random:0 for an untrained control), or take vd-i, vd-t or concat, which need nothing trained"
        )
    return Condition(kind=kind, form="raw")


def resolve_noise(kind: NoiseKind, seed: int, steps: int, fingerprints: Mapping[str, str]) -> Noise:
    """The noise with what determines it: a seed, the steps of an inversion, or the adapter's noise predictor.

    Raises `ModelError` for `predicted` without a predictor.
    """
    if kind == "none":
        return Noise(kind=kind)
    if kind == "inverted":
        return Noise(kind=kind, steps=steps)
    if kind != "predicted":
        return Noise(kind=kind, seed=seed)
    if "noise_predictor" not in fingerprints:
        raise ModelError(
            "noise 'predicted' needs an adapter with a noise predictor: give --adapter FILE (or --adapter random:0 "
            "for an untrained control), or take none, gaussian, frame-shared or inverted, which need nothing trained"
        )
    return Noise(kind=kind, adapter=fingerprints["noise_predictor"])
