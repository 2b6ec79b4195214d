"""Accelerate as trainings use it: one process, or those that `accelerate launch` has started."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

from vdprobe.errors import ConfigError, VdprobeError
from vdprobe.models.networks.device import pick_device

T = TypeVar("T")


def start_accelerate(precision: str, device: str) -> Accelerator:
    """An accelerator for one training.

    - `precision`: no, bf16 or fp16. `device`: as `pick_device` takes it; several processes have one GPU each.

    Raises `ConfigError` for a device that is not here, or that cannot compute in that precision.
    """
    place = pick_device(device)
    if place.type == "cpu" and precision == "fp16":
        raise ConfigError("precision 'fp16' needs a GPU; take bf16 or no")
    if place.index is not None:
        torch.cuda.set_device(place)
    # Accelerate has one state a process, which would be that of the training before.
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        return Accelerator(cpu=place.type == "cpu", mixed_precision=precision)
    except ValueError as error:
        raise ConfigError(f"precision '{precision}' cannot be had on {place}: {error}; take no") from error


def on_main_process(accelerator: Accelerator, call: Callable[[], T]) -> T:
    """The value of `call`, which only the main process runs; every process gets it, or raises what it raised.

    Whatever writes to the folder of a training goes through here: two processes that write to one file lose
    what one of them wrote. No process goes on before the call has ended.
    """
    if accelerator.num_processes == 1:
        return call()
    outcome: list[T | VdprobeError | None] = [None]
    if accelerator.is_main_process:
        try:
            outcome = [call()]
        except VdprobeError as error:
            outcome = [error]
    broadcast_object_list(outcome)
    (value,) = outcome
    if isinstance(value, VdprobeError):
        raise value
    return value  # type: ignore[return-value]  # the main process has replaced None


def end_accelerate(accelerator: Accelerator) -> None:
    """Leaves the group of processes that `start_accelerate` joined, when the caller has let go of its model.

    A group on CPUs that outlives this call in the model's reducer is freed with it, while Python's lock is held
    and the group's own threads may wait for that lock: the process would hang.
    """
    accelerator.free_memory()
    gc.collect()  # a model over several processes is part of reference cycles
    accelerator.end_training()
