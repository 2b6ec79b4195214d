"""What does a frozen text-to-video diffusion model know about a video, where, when, and given what?"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vdprobe.data.sources import find_videos as find_videos
    from vdprobe.data.video import Expression as Expression
    from vdprobe.data.video import Video as Video
    from vdprobe.errors import VdprobeError as VdprobeError
    from vdprobe.extraction.config import ExtractConfig as ExtractConfig
    from vdprobe.extraction.plan import make_plan as make_plan
    from vdprobe.extraction.run import extract as extract
    from vdprobe.models.diffusion.adapter import Adapter as Adapter
    from vdprobe.models.diffusion.adapter import load_adapter as load_adapter
    from vdprobe.models.diffusion.backbone import Backbone as Backbone
    from vdprobe.models.diffusion.pipeline import find_pipeline as find_pipeline
    from vdprobe.specs.features import FeatureSpec as FeatureSpec
    from vdprobe.specs.features import Item as Item
    from vdprobe.store.item import StoredItem as StoredItem
    from vdprobe.store.store import FeatureStore as FeatureStore

_PLACES = {
    "Adapter": "models.diffusion.adapter",
    "Backbone": "models.diffusion.backbone",
    "Expression": "data.video",
    "ExtractConfig": "extraction.config",
    "FeatureSpec": "specs.features",
    "FeatureStore": "store.store",
    "Item": "specs.features",
    "StoredItem": "store.item",
    "VdprobeError": "errors",
    "Video": "data.video",
    "extract": "extraction.run",
    "find_pipeline": "models.diffusion.pipeline",
    "find_videos": "data.sources",
    "load_adapter": "models.diffusion.adapter",
    "make_plan": "extraction.plan",
}
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    # Imported when first used: `import vdprobe` must not wait for torch.
    if name not in _PLACES:
        raise AttributeError(f"module 'vdprobe' has no attribute '{name}'")
    return getattr(importlib.import_module(f"vdprobe.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
