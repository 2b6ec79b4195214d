"""Times the stages of one clip, for the estimate of a plan."""

import time

import torch

from vdprobe.extraction.compute import Computer
from vdprobe.extraction.plan import ClipWork, Plan
from vdprobe.extraction.run import Report


@torch.inference_mode()
def time_clip(plan: Plan, clip: ClipWork) -> dict[str, float]:
    """Seconds of `decode`, `encode` (VAE, image tokens) and one `forward`, after loading and a warm-up.

    A forward is at the batch size of the plan, or as many texts as the clip has.
    """
    computer = Computer.load(plan)
    report = Report()
    backbone = computer.backbone
    unet_specs = [spec for spec in plan.specs if spec.condition is not None]

    def now() -> float:
        if backbone.device.type == "cuda":
            torch.cuda.synchronize(backbone.device)
        return time.perf_counter()

    for _ in range(2):
        start = now()
        prepared = computer.prepare(clip, report)
        decoded = now()
        shared = computer.encode(clip, prepared, unet_specs)
        encoded = now()
        forward = 0.0
        if unet_specs and shared.latents is not None:
            spec = max(unet_specs, key=lambda s: len(clip.items(s)))
            items = next(clip.batches(spec, plan.config.texts_per_forward), ())
            if items:
                noise = computer.noise(shared, spec, clip)
                conditions = torch.stack([computer.tokens(shared, spec, item, clip, report) for item in items])
                began = now()
                computer.forward(spec, shared.latents, noise, conditions, spec.timesteps[0])
                forward = now() - began
    return {"decode": decoded - start, "encode": encoded - decoded, "forward": forward}
