import pytest
import torch

from vdprobe.models.diffusion.pipeline import find_pipeline


@pytest.fixture(scope="session")
def tiny():
    return find_pipeline("random:tiny")


@pytest.fixture
def place():
    return torch.float32, torch.device("cpu")
