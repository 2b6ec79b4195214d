"""An untrained head."""

from vdprobe.head.config import HeadConfig
from vdprobe.head.files import save_head
from vdprobe.head.head import Head
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.training.small_head import level_widths


def tiny_head(folder, **more):
    """A head for `random:tiny`, in a folder as `import-official` leaves it."""
    pipeline = find_pipeline("random:tiny")
    width = pipeline.config("text_encoder")["hidden_size"]
    sizes = {"level_widths": level_widths(pipeline), "text_width": width, "width": 64, "queries": 3, "heads": 4}
    sizes |= {"neck_hidden": (8,) * 4, "neck_widths": (8,) * 4, "feedforward": 16}
    folder.mkdir(parents=True, exist_ok=True)
    save_head(Head(HeadConfig(**{**sizes, "encoder_layers": 1, "decoder_layers": 1, **more})), folder)
    return folder
