"""What the tests of a head's training share, also in processes that they start."""

import os
from contextlib import contextmanager

import torch

from vdprobe.specs.load import merge
from vdprobe.training import head_training
from vdprobe.training.accelerator import start_accelerate
from vdprobe.training.cached_clips import pipeline_of
from vdprobe.training.head_config import parse_head_config
from vdprobe.training.head_data import HeadData, HeadPlans
from vdprobe.training.head_training import HeadTraining, WordEncoder, train_head

PIXEL_LEVELS = [["pixels.4"], ["pixels.8"], ["pixels.16"], ["pixels.32"]]
SMALL = {
    "neck_hidden": [16, 16, 16, 16],
    "neck_widths": [16, 16, 16, 16],
    "width": 32,
    "heads": 4,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "feedforward": 32,
}


def head_config(shapes, store, **changes):
    """Of a small head on raw pixels."""
    values = {
        "features": {
            "model": {"pipeline": "pixels", "device": "cpu"},
            "videos": {"path": str(shapes), "split": "train"},
            "resize": {"short_side": 32, "long_side": None},
            "store": {"path": str(store), "dtype": "float32"},
        },
        "levels": PIXEL_LEVELS,
        "words": "pipeline:random:tiny",
        "head": SMALL,
        "steps": 4,
        "frames": 2,
        "rate": 1e-3,
        "neck_rate": 1e-3,
        "workers": 0,
    }
    return parse_head_config(merge(values, changes))


def load_training(config, out):
    """A training as it is before its first step."""
    accelerator = start_accelerate(config.precision, config.features.model.device)
    plans = HeadPlans.make(config)
    words = WordEncoder.load(config.words, pipeline_of(plans.views[0]), accelerator.device)
    return HeadTraining.load(HeadData.open(plans), words, accelerator, out)


def gradients(config, out):
    """(losses, gradient of each parameter) of this process's share of the first batch, all shares together."""
    training = load_training(config, out)
    share = range(training.accelerator.process_index, config.batch_size, training.accelerator.num_processes)
    clips = training.data.clips()
    losses = training.backward(0, [clips.load(0, place) for place in share])
    return losses, {name: parameter.grad.clone() for name, parameter in training.head.named_parameters()}


def one_of_two(rank, config, out):
    """The first batch's gradients, and then a training twice, as one of two processes on this machine.

    The processes find each other through a file, since a port that was free may be taken by the time it is used.
    The second process is refused whatever changes the folder of the training. The second training has nothing
    left to do but to resume.
    """
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    if rank == 1:
        for name in ("hold", "claim", "log_until", "replace_files", "save_state", "event_files"):
            setattr(head_training, name, refuse)
    with meeting(rank, out / "meeting of the gradients"):
        torch.save(gradients(config, out), out / f"gradients{rank}.pt")
    for time in ("first", "second"):
        with meeting(rank, out / f"meeting of the {time} training"):
            made = train_head(config, out / "run")
    assert made.step_seconds is None


@contextmanager
def meeting(rank, file):
    """The group of the two processes, which a training leaves when it ends."""
    torch.distributed.init_process_group("gloo", init_method=file.as_uri(), rank=rank, world_size=2)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def refuse(*_, **__):
    raise AssertionError("this process is not the main one, and changes the folder of the training")
