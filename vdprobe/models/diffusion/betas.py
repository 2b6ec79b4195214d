"""The noise that each training timestep adds, from the configuration of a diffusers scheduler.

A configuration may say more than betas: what is not understood here is refused, as it may mean another process than
the one that features would be computed under.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from vdprobe.errors import ModelError

BY_BETAS = (
    *("DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler", "DDIMInverseScheduler"),
    *("PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"),
    *("HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DEISMultistepScheduler"),
    *("DPMSolverSinglestepScheduler", "DPMSolverMultistepScheduler", "DPMSolverMultistepInverseScheduler"),
    *("DPMSolverSDEScheduler", "UniPCMultistepScheduler", "SASolverScheduler", "LCMScheduler", "TCDScheduler"),
)
"""The classes of diffusers that share DDPM's process and differ in how they sample it."""
PREDICTIONS = ("epsilon", "v_prediction")
"""What a network may be trained to give: features before its output depend on neither."""
SCHEDULES = ("linear", "scaled_linear")
OTHER_PROCESSES = {
    "rescale_betas_zero_snr": "rescales its betas to zero terminal SNR",
    "use_flow_sigmas": "goes along flows",
    "shift_terminal": "shifts its end",
    "use_dynamic_shifting": "shifts its levels by the size of the picture",
}
"""Switches that change the process, and what they do."""
MOST_TIMESTEPS = 100_000
KNOWN = (
    "supported is DDPM's discrete process (DDPMScheduler, DDIMScheduler, EulerDiscreteScheduler and their like) with "
    f"beta_schedule {' or '.join(SCHEDULES)} or trained_betas, and prediction_type {' or '.join(PREDICTIONS)}"
)


def read_betas(config: Mapping[str, Any]) -> Float64[np.ndarray, " T"]:
    """The beta of every training timestep, with the formulas of `DDPMScheduler`.

    Raises `ModelError` for a configuration of any other process, or of none.
    """
    _check_process(config)
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
    if kind == "linear":
        return np.linspace(start, end, steps)
    return np.linspace(start**0.5, end**0.5, steps) ** 2


def _check_process(config: Mapping[str, Any]) -> None:
    name = config.get("_class_name")
    if name is not None and name not in BY_BETAS:
        raise ModelError(f"scheduler is of class {_told(name)}; {KNOWN}")
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ModelError(f"scheduler has prediction_type {_told(prediction)}; {KNOWN}")
    for switch, what in OTHER_PROCESSES.items():
        if config.get(switch):
            raise ModelError(f"scheduler {what} ({switch}), which is not supported; {KNOWN}")
    if config.get("timestep_type", "discrete") != "discrete":
        raise ModelError(f"scheduler has timestep_type {_told(config['timestep_type'])}; {KNOWN}")
    if config.get("snr_shift_scale", 1) != 1:
        raise ModelError(f"scheduler has snr_shift_scale {_told(config['snr_shift_scale'])}; {KNOWN}")


def _beta(name: str, value: Any) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1 and math.isfinite(value)
    if not fits:
        raise ModelError(f"scheduler has {name} {_told(value)}, which must be a number between 0 and 1")
    return float(value)


def _told(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
