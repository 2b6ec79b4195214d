"""What measures keep of a clip's masks from cell to cell changes no value, and is made once."""

from dataclasses import replace
from itertools import product
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from planted import features_of, measured_of, squares

from vdprobe.specs.load import build
from vdprobe.studies.analysis import clusters, consistency, propagation, roi_similarity

KINDS = {
    "consistency": (consistency, consistency.CONSISTENCY),
    "roi-similarity": (roi_similarity, roi_similarity.ROI_SIMILARITY),
    "propagation": (propagation, propagation.PROPAGATION),
    "clusters": (clusters, clusters.CLUSTERING),
}
VALUES = {"features": {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}}}


def kept(module):
    return [value for value in vars(module).values() if hasattr(value, "cache_clear")]


def forget(module):
    for function in kept(module):
        function.cache_clear()


def cells(grids=(1, 2)):
    """Two clips with two samples each, in cells of two layers on each of two grids, in the order of the measures."""
    found = []
    for clip, (count, step) in enumerate(((2, 1), (3, 0))):
        numbers = squares(cells=16, objects=count, step=step)
        of_clip = measured_of(numbers, size=(60, 62)).sample
        samples = [replace(of_clip, targets=targets) for targets in (("1",), ("1", "2"))]
        for grid, layer in product(grids, range(2)):
            features = features_of(numbers[:, ::grid, ::grid], noise=1, channels=12 + layer)
            features = np.random.default_rng((clip, layer)).permutation(features, axis=1)
            elsewhere = np.random.default_rng((clip, layer, grid)).normal(size=(5, 12 + layer, 9, 8 * layer + 7))
            other = lambda elsewhere=elsewhere: elsewhere.astype(np.float32)  # noqa: E731
            base = measured_of(numbers, features, stride=4 * grid)
            found += [replace(base, sample=sample, other=other) for sample in samples]
    return found


@pytest.mark.parametrize("name", KINDS)
def test_each_cell_has_the_value_that_it_has_afresh(name):
    module, analysis = KINDS[name]
    config = build(analysis.config, VALUES)
    forget(module)
    together = [pd.DataFrame(analysis.measure(cell, config)) for cell in cells()]
    for cell, table in zip(cells(), together, strict=True):
        forget(module)
        pd.testing.assert_frame_equal(pd.DataFrame(analysis.measure(cell, config)), table, check_exact=True)
    backwards = [pd.DataFrame(analysis.measure(cell, config)) for cell in reversed(cells())]
    for table, same in zip(reversed(backwards), together, strict=True):
        pd.testing.assert_frame_equal(table, same, check_exact=True)
    assert not together[0]["value"].equals(together[-1]["value"])


def test_masks_are_located_once_a_grid_and_another_video_is_read_once_a_cell(monkeypatch):
    config = build(consistency.CONSISTENCY.config, VALUES)
    located = Mock(side_effect=consistency.make_tracks)
    monkeypatch.setattr(consistency, "make_tracks", located)
    forget(consistency)
    others = {}
    for cell in cells(grids=(1,))[:4]:  # two cells of two samples
        other = others.setdefault(cell.other, Mock(side_effect=cell.other))
        consistency.CONSISTENCY.measure(replace(cell, other=other), config)
    assert [other.call_count for other in others.values()] == [1, 1]
    assert located.call_count == 1 + 2  # on the features' grid, and on that of each other video
