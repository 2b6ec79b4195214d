from dataclasses import dataclass

import numpy as np
import pytest
import torch

from vdprobe.models.diffusion.inversion import Inversion, split_prediction
from vdprobe.models.diffusion.process import EDM, Discrete, Flow
from vdprobe.models.diffusion.read_process import read_process
from vdprobe.models.registry import find_model
from vdprobe.models.unet3d.architectures import MODELSCOPE

PROCESSES = {
    "epsilon": read_process(MODELSCOPE["scheduler"]),
    "v_prediction": EDM(0.002, 700.0),
    "flow_prediction": Flow(),
}


@dataclass
class Gaussian:
    """The best denoiser of data that are independent with mean 0 and this deviation: every ODE has a closed form."""

    prediction: str
    deviation: float
    calls: list

    def __call__(self, latents, level):
        self.calls.append(level)
        variance = (level.signal * self.deviation) ** 2 + level.amount**2
        data = level.signal * self.deviation**2 / variance * latents
        noise = level.amount / variance * latents
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "v_prediction":
            return level.signal * noise - level.amount * data
        return noise - data


@pytest.mark.parametrize("prediction", PROCESSES)
@pytest.mark.parametrize("s", [0.2, 0.5, 0.9])
def test_the_flow_of_gaussian_data_is_followed(prediction, s):
    """Its marginals are Gaussian: each value is scaled by the ratio of deviations."""
    process, deviation = PROCESSES[prediction], 0.7
    clean = torch.randn(4, 2, 3, 3, generator=torch.manual_seed(0))
    level = process.parse(f"s={s}")
    inversion = Inversion(Gaussian(prediction, deviation, []), process, prediction, clean, 400)
    expected = clean * np.hypot(level.signal * deviation, level.amount) / deviation
    torch.testing.assert_close(inversion.at(level), expected, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("prediction", PROCESSES)
def test_a_level_has_one_value_alone_and_in_a_grid(prediction):
    process = PROCESSES[prediction]
    clean = torch.randn(4, 2, 3, 3, generator=torch.manual_seed(0))
    levels = [process.parse(f"s={s}") for s in (0.6, 0.25, 0.8)]

    def fresh():
        return Inversion(Gaussian(prediction, 0.7, []), process, prediction, clean, 10)

    grid = fresh()
    together = [grid.at(level) for level in levels]
    for level, value in zip(levels, together, strict=True):
        assert torch.equal(fresh().at(level), value)
    assert torch.equal(grid.at(process.parse("clean")), clean)
    nodes = {level.timestep for level in grid.predict.calls}
    assert len(nodes) <= 10  # the path is walked once


@pytest.mark.parametrize("prediction", PROCESSES)
def test_an_output_is_split_into_what_it_was_made_of(prediction):
    level = PROCESSES[prediction].parse("s=0.4")
    data, noise = torch.randn(2, 4, 1, 2, 2, generator=torch.manual_seed(0), dtype=torch.float64)
    latents = level.signal * data + level.amount * noise
    output = {
        "epsilon": noise,
        "v_prediction": level.signal * noise - level.amount * data,
        "flow_prediction": noise - data,
    }[prediction]
    for made, found in zip((data, noise), split_prediction(prediction, latents, output, level), strict=True):
        torch.testing.assert_close(found, made)


def test_paths_rise_through_the_process():
    for process in (*PROCESSES.values(), Flow(inverted=True)):
        path = process.path(20)
        assert 18 <= len(path) <= 20
        rising = [level.s for level in path]
        assert rising == sorted(rising)
        assert rising[-1] < 1
    assert isinstance(PROCESSES["epsilon"], Discrete)
    assert [level.timestep for level in PROCESSES["epsilon"].path(4)] == [0, 250, 500, 750]


def test_what_a_scheduler_predicts():
    assert find_model("random:tiny").family.prediction == "epsilon"
    assert find_model("random:tiny-wan").family.prediction == "flow_prediction"
