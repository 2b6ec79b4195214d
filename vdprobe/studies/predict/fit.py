"""Whether a head fits the features it is given, and whether they are like those it was trained on."""

from vdprobe.errors import ModelError
from vdprobe.extraction.plan import Plan
from vdprobe.head.head import Head
from vdprobe.head.words import WordEncoder
from vdprobe.models.unet3d.taps import VDIT_LEVELS
from vdprobe.specs.canonical import to_plain
from vdprobe.studies.predict.config import PredictConfig, find_manner
from vdprobe.studies.predict.head_folder import HeadFolder, made_in_windows
from vdprobe.studies.predict.official import compare_official
from vdprobe.training.cached_clips import pipeline_of
from vdprobe.training.small_head import level_widths

EXTRACTED_WITH = ("taps", "conditions", "noises", "timesteps", "latents", "resize", "lighting")
READ_WITH = ("timestep", "levels", "frame_rule", "text_case")
"""Options of a training that decide what a head gets to see: of its `features`, and its own."""


def check_fit(head: Head, words: WordEncoder, config: PredictConfig, plan: Plan) -> None:
    """Raises `ModelError` where widths differ: of words, and, as far as a plan can tell, of levels."""
    if words.width != head.config.text_width:
        raise ModelError(
            f"the head reads words of width {head.config.text_width}, and '{config.words}' makes {words.width}: give "
            "the text encoder that it was trained with as --words"
        )
    pipeline = pipeline_of(plan)
    if pipeline is None or config.levels != VDIT_LEVELS:
        return  # the widths of other taps are known when there are features
    if (widths := level_widths(pipeline)) != head.config.level_widths:
        raise ModelError(
            f"the head reads levels of {head.config.level_widths} channels, and '{pipeline.name}' has {widths}: "
            "give the model that it was trained on as --model"
        )


def list_changes(config: PredictConfig, found: HeadFolder, plan: Plan, words: WordEncoder) -> list[str]:
    """Notes on what the head gets to see here and was not trained on; of an imported one, what is as officially."""
    parts = {part: digest for spec in plan.specs for part, digest in spec.model.parts.items()}
    parts["words"] = words.identity
    other = [part for part, digest in found.model.items() if parts.get(part, digest) != digest]
    notes = [f"the head was trained on another model than '{plan.model.name}': {', '.join(other)}"] if other else []
    for trained, asked, names in (
        (found.defaults["features"], config.features, EXTRACTED_WITH),
        (found.defaults, config, READ_WITH),
    ):
        for name in names:
            now = to_plain(getattr(asked, name))
            if name in trained and trained[name] != now:
                notes.append(f"the head was trained with {name} {trained[name]}, and these masks are made with {now}")
    if found.imported:
        notes += compare_official(find_manner(config), to_plain(config))
    if found.centred is not None and config.features.clips.kind != "centred":
        notes.append(made_in_windows("centred"))
    return notes
