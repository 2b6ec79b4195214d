"""What a store lacks of a plan, and the command that makes it."""

import json
import shlex

from vdprobe.errors import DataError
from vdprobe.extraction.config import ExtractConfig, ModelConfig, VideoConfig
from vdprobe.extraction.plan import Plan
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.load import flatten
from vdprobe.store.store import FeatureStore

OPTIONS = {"model.pipeline": "--model", "videos.path": "--videos", "store.path": "--store"}
"""Those with a name of their own; the others are given by `--set`."""


def require(plan: Plan, store: FeatureStore) -> None:
    """Raise `DataError` where an item of the plan is not in the store, with the command that makes all of them."""
    items = [(clip, spec, item) for clip in plan.clips for spec in plan.specs for item in clip.items(spec)]
    lacking = [(clip, spec) for clip, spec, item in items if not store.is_committed(spec.key, item)]
    if lacking:
        clip, spec = lacking[0]
        what = f"{len(lacking)} of {len(items)} items of '{plan.config.model.pipeline}'"
        first = f"{clip.name} under {spec.label} with {', '.join(spec.taps)}"
        command = extract_command(plan.config)
        raise DataError(f"{what} are not in {store.root}, first {first}; make them with: {command}")


def extract_command(config: ExtractConfig) -> str:
    """The `vdprobe extract` of a configuration: every option that is not the default."""
    default = dict(flatten(to_plain(ExtractConfig(model=ModelConfig(pipeline=""), videos=VideoConfig(path="")))))
    words = ["vdprobe", "extract"]
    for name, value in flatten(to_plain(config)):
        if name in default and default[name] == value:
            continue
        words += [OPTIONS[name], str(value)] if name in OPTIONS else ["--set", f"{name}={json.dumps(value)}"]
    return shlex.join(words)
