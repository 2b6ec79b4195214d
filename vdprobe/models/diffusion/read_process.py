"""The process that the configuration of a diffusers scheduler describes.

What is not understood here is refused, as it may mean another process than the one that features would be computed
under. Which grid of levels a scheduler samples on (`shift`, `timestep_spacing`, ...) changes no level and is not read.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.process import EDM, Discrete, Flow, Process

BY_BETAS = (
    *("DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler", "DDIMInverseScheduler"),
    *("PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"),
    *("HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DEISMultistepScheduler"),
    *("DPMSolverSinglestepScheduler", "DPMSolverMultistepScheduler", "DPMSolverMultistepInverseScheduler"),
    *("DPMSolverSDEScheduler", "UniPCMultistepScheduler", "SASolverScheduler", "LCMScheduler", "TCDScheduler"),
    *("CogVideoXDDIMScheduler", "CogVideoXDPMScheduler"),
)
"""The classes of diffusers that share DDPM's process and differ in how they sample it."""
BY_FLOW = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler")
"""The classes that know straight paths alone."""
PREDICTIONS = ("epsilon", "v_prediction")
"""What a network of a discrete process may be trained to give: features before its output depend on neither."""
FLOW_PREDICTION = "flow_prediction"
COSINE = "squaredcos_cap_v2"
SCHEDULES = ("linear", "scaled_linear", COSINE)
MOST_TIMESTEPS = 100_000
KNOWN = (
    "supported are DDPM's discrete process (DDPMScheduler, DDIMScheduler, EulerDiscreteScheduler and their like) with "
    f"beta_schedule {' or '.join(SCHEDULES)} or trained_betas and prediction_type {' or '.join(PREDICTIONS)}, flows "
    "(FlowMatchEulerDiscreteScheduler, or use_flow_sigmas with prediction_type flow_prediction), and EDM "
    "(EulerDiscreteScheduler with timestep_type continuous and prediction_type v_prediction)"
)


def read_process(config: Mapping[str, Any]) -> Process:
    """The process of a scheduler configuration. Raises `ModelError` for one that is not known."""
    name = config.get("_class_name")
    if name in BY_FLOW:
        return Flow(inverted=bool(config.get("invert_sigmas")))
    if name is not None and name not in BY_BETAS:
        raise ModelError(f"scheduler is of class {_told(name)}; {KNOWN}")
    prediction = config.get("prediction_type", "epsilon")
    if config.get("use_flow_sigmas") or prediction == FLOW_PREDICTION:
        if not (config.get("use_flow_sigmas") and prediction == FLOW_PREDICTION):
            raise ModelError(
                f"scheduler has use_flow_sigmas {_told(config.get('use_flow_sigmas'))} and prediction_type "
                f"{_told(prediction)}: one says that it follows flows, the other not; {KNOWN}"
            )
        return Flow()
    if prediction not in PREDICTIONS:
        raise ModelError(f"scheduler has prediction_type {_told(prediction)}; {KNOWN}")
    if config.get("timestep_type", "discrete") != "discrete":
        return _read_edm(config, prediction)
    if config.get("shift_terminal"):
        raise ModelError(f"scheduler has shift_terminal, which belongs to flows; {KNOWN}")
    return Discrete(_read_alphas(config))


def _read_edm(config: Mapping[str, Any], prediction: str) -> EDM:
    kind, low, high = (config.get(key) for key in ("timestep_type", "sigma_min", "sigma_max"))
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in (low, high))
    if kind != "continuous" or prediction != "v_prediction" or not numbers:
        raise ModelError(
            f"scheduler has timestep_type {_told(kind)}, prediction_type {_told(prediction)} and sigmas from "
            f"{_told(low)} to {_told(high)}; {KNOWN}"
        )
    assert low is not None and high is not None
    if not 0 < low < high:
        raise ModelError(f"scheduler has sigma_min {low} and sigma_max {high}: they must rise from above 0")
    return EDM(float(low), float(high))


def _read_alphas(config: Mapping[str, Any]) -> Float64[np.ndarray, " T"]:
    """`alphas_cumprod`, with CogVideoX's shift and the rescaling to zero terminal SNR (Lin et al. 2024)."""
    abar = np.cumprod(1.0 - read_betas(config))
    shift = config.get("snr_shift_scale", 1)
    if not isinstance(shift, int | float) or isinstance(shift, bool) or not 0 < shift < math.inf:
        raise ModelError(f"scheduler has snr_shift_scale {_told(shift)}, which must be a number above 0")
    abar = abar / (shift + (1 - shift) * abar)
    if config.get("rescale_betas_zero_snr"):
        root = np.sqrt(abar)
        abar = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return abar


def read_betas(config: Mapping[str, Any]) -> Float64[np.ndarray, " T"]:
    """The beta of every training timestep, with the formulas of `DDPMScheduler`.

    Raises `ModelError` for betas that cannot be meant.
    """
    trained = config.get("trained_betas")
    if trained is not None:
        if not isinstance(trained, list | tuple) or not 1 <= len(trained) <= MOST_TIMESTEPS:
            raise ModelError(f"scheduler has trained_betas that are no list of 1 to {MOST_TIMESTEPS} numbers; {KNOWN}")
        return np.array([_beta("trained_betas", value) for value in trained])
    kind = config.get("beta_schedule", "linear")
    if kind not in SCHEDULES:
        raise ModelError(f"scheduler has beta_schedule {_told(kind)}; {KNOWN}")
    start, end = (
        _beta(name, config.get(name, default)) for name, default in (("beta_start", 1e-4), ("beta_end", 0.02))
    )
    steps = config.get("num_train_timesteps", 1000)
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= MOST_TIMESTEPS:
        raise ModelError(
            f"scheduler has num_train_timesteps {_told(steps)}, which must be a whole number from 1 to {MOST_TIMESTEPS}"
        )
    if kind == COSINE:
        # Nichol and Dhariwal 2021, eq. 17; betas end at 0.999
        angles = (np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2
        return np.minimum(1 - np.cos(angles[1:]) ** 2 / np.cos(angles[:-1]) ** 2, 0.999)
    if kind == "linear":
        return np.linspace(start, end, steps)
    return np.linspace(start**0.5, end**0.5, steps) ** 2


def _beta(name: str, value: Any) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1 and math.isfinite(value)
    if not fits:
        raise ModelError(f"scheduler has {name} {_told(value)}, which must be a number between 0 and 1")
    return float(value)


def _told(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
