"""Times the stages of one clip, for the estimate of a plan."""

import time

import torch

from vdprobe.extraction.clip_work import ClipWork
from vdprobe.extraction.compute import Computer
from vdprobe.extraction.plan import Plan
from vdprobe.extraction.report import Report


@torch.inference_mode()
def time_clip(plan: Plan, clip: ClipWork) -> dict[str, float]:
    """Seconds of `decode`, `encode` (what depends on the frames alone) and one `forward`, after loading and a warm-up.

    A forward is at the batch size of the plan, or as many texts as the clip has; it takes no time where the
    features depend on the frames alone.
    """
    computer = Computer.load(plan)
    report = Report()

    def now() -> float:
        if computer.model.device.type == "cuda":
            torch.cuda.synchronize(computer.model.device)
        return time.perf_counter()

    for _ in range(2):
        start = now()
        prepared, _facts = computer.prepare(clip, report)
        decoded = now()
        encoded = computer.model.encode(clip.clip, prepared, plan.specs)
        done = now()
    forward = 0.0
    spec = max(plan.specs, key=lambda s: (bool(s.timesteps), len(clip.items(s))))
    items = next(clip.batches(spec, plan.config.texts_per_forward), ())
    if spec.timesteps and items:
        for _ in range(2):
            began = now()
            encoded.features(spec, items, spec.timesteps[0])
            forward = now() - began
    return {"decode": decoded - start, "encode": done - decoded, "forward": forward}
