"""Raw pixels as a model with a temporal VAE would give them: of each group of frames those of the last."""

import pytest

from vdprobe.models.frames_alone import FrameClip
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.spans import group_spans


@pytest.fixture
def grouped(monkeypatch):
    """Makes the maps of `pixels.8` stand for groups of two frames; of other taps each is of one frame."""
    features, place = FrameClip.features, FrameClip.place

    def spans_of(clip, tap):
        return group_spans(len(clip.taps[tap]), 2 if tap == "pixels.8" else 1)

    def some(self, spec, items, timestep):
        whole = features(self, spec, items, timestep)
        return {tap: v[:, [end - 1 for _, end in spans_of(self, tap)]] for tap, v in whole.items()}

    def there(self, tap, shape):
        return TapPlace(place(self, tap, shape).stride, spans_of(self, tap))

    monkeypatch.setattr(FrameClip, "features", some)
    monkeypatch.setattr(FrameClip, "place", there)
