"""All objects of a video in one PNG a frame, as DAVIS takes them, for each of those who described them.

Ref-DAVIS17 has four texts of every object, of four annotators, and each annotator's objects are predicted and
scored by themselves (official inference_davis.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vdprobe.data.masks import is_label
from vdprobe.data.video import Expression, Failure, Video
from vdprobe.errors import DataError
from vdprobe.studies.submit import DAVIS_OBJECTS


@dataclass(frozen=True)
class Description:
    """One expression of each object of a video.

    - `place`: folder of the PNGs. `numbers`: of the objects, in the order of `expressions`.
    """

    place: str
    expressions: tuple[Expression, ...]
    numbers: tuple[int, ...]


def describe_objects(
    videos: Sequence[Video], failures: Iterable[Failure]
) -> tuple[dict[str, tuple[Description, ...]], list[Failure]]:
    """Of each video the descriptions of its objects, and the videos whose objects cannot be put together.

    The k-th expression of each object is one description. There are as many as in most detail any video has: with
    one, PNGs lie in `<video>`, with more in `anno_0/<video>`, `anno_1/<video>`, ... A video with an expression
    among the `failures` has none: who described what would be unclear.
    """
    broken = {failure.where.partition("/")[0] for failure in failures if "/" in failure.where}
    objects: dict[str, dict[int, list[Expression]]] = {}
    unclear = []
    for video in videos:
        try:
            if video.id in broken:
                raise DataError("an expression of it cannot be used, and who described what is unclear without it")
            objects[video.id] = _objects(video)
        except DataError as error:
            unclear.append(Failure(video.id, f"its objects are not put together: {error}"))
    most = max((len(texts) for found in objects.values() for texts in found.values()), default=0)
    out = {}
    for id, found in objects.items():
        counts = {len(texts) for texts in found.values()}
        if counts != {most}:
            listed = " and ".join(map(str, sorted(counts)))
            what = f"they have {listed} expressions each, and the annotators are {most}: each must describe all"
            unclear.append(Failure(id, f"its objects are not put together: {what}"))
            continue
        out[id] = tuple(
            Description(
                place=id if most == 1 else f"anno_{k}/{id}",
                expressions=tuple(texts[k] for texts in found.values()),
                numbers=tuple(found),
            )
            for k in range(most)
        )
    return out, unclear


def merge_objects(
    logits: Float[np.ndarray, "O H W"], numbers: Sequence[int], least_logit: float = 0.0
) -> UInt8[np.ndarray, "H W"]:
    """The number of the object at each pixel: of those whose mask has it, the one that is surest of it; 0 of none.

    The official code compares sigmoids in float32, in which all logits above 16.6 are the same 1.0, and gives such a
    pixel to the first of the objects. Here logits are compared, which tell those apart: that is the one difference,
    beside a logit of 0 itself, which is no object's here and one's there (`anno_masks < 0.5`).
    """
    surest = np.array(numbers, dtype=np.uint8)[logits.argmax(axis=0)]
    return np.where((logits > least_logit).any(axis=0), surest, np.uint8(0))


def _objects(video: Video) -> dict[int, list[Expression]]:
    """The expressions of each object by its number: its id, or, where the dataset hides those, its place."""
    out: dict[int, list[Expression]] = {}
    if all(expression.object_ids is None for expression in video.expressions):
        out = {place: [expression] for place, expression in enumerate(video.expressions, 1)}
    else:
        for expression in video.expressions:
            id = expression.object_id
            if id is None or not is_label(id):
                ids = ", ".join(expression.object_ids or ()) or "none"
                raise DataError(f"expression '{expression.id}' means the objects {ids}, not one with a number")
            out.setdefault(int(id), []).append(expression)
    if max(out, default=0) > DAVIS_OBJECTS:
        raise DataError(f"an object has the number {max(out)}, and {DAVIS_OBJECTS} is the most")
    return out
