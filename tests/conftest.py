import sys

import pytest

from vdprobe.cli.main import main


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
