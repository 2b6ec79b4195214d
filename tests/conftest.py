import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from vdprobe.cli.main import main

# The same examples in every run, however busy the machine is; `--hypothesis-profile=default` draws new ones.
settings.register_profile(
    "certain", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("certain")


@pytest.fixture
def vdprobe(monkeypatch, capsys):
    """Runs the command as a user types it; gives (exit status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vdprobe", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="session")
def published():
    """What writes small datasets in their published layouts."""
    folder = str(Path(__file__).parent / "data")
    sys.path.insert(0, folder)
    yield importlib.import_module("published")
    sys.path.remove(folder)


@pytest.fixture(scope="session")
def vision_folder(tmp_path_factory):
    """The folder of a tiny vision model, by the transformers library's name of it (`Dinov2`); made once."""
    made = {}

    def folder(kind, **config):
        name = f"{kind}-{'-'.join(f'{key}={value}' for key, value in config.items())}"
        if name not in made:
            made[name] = tmp_path_factory.mktemp("vision") / kind
            save_vision_model(kind, config, made[name])
        return made[name]

    return folder


@pytest.fixture
def mean_network():
    """A stand-in for torchvision's Video Swin: the same parts, but a patch is the mean of its colours, 32 times."""
    from torch import nn
    from torch.nn import functional

    class Patches(nn.Module):
        def forward(self, clip):
            return functional.avg_pool3d(clip, (2, 4, 4)).permute(0, 2, 3, 4, 1).repeat(1, 1, 1, 1, 32)

    class Halved(nn.Module):
        def forward(self, x):
            small = functional.avg_pool3d(x.permute(0, 4, 1, 2, 3), (1, 2, 2)).permute(0, 2, 3, 4, 1)
            return small.repeat(1, 1, 1, 1, 2)

    network = nn.Module()
    network.patch_embed, network.pos_drop = Patches(), nn.Identity()
    network.features = nn.Sequential(*[part for _ in range(3) for part in (nn.Identity(), Halved())], nn.Identity())
    return network


def save_vision_model(kind, config, folder):
    import torch
    import transformers
    from transformers.utils import logging

    torch.manual_seed(7)
    logging.disable_progress_bar()
    model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**config))
    model.save_pretrained(folder)
    processor = transformers.ViTImageProcessorPil(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3])
    processor.save_pretrained(folder)
