"""What the bundled model can do, measured on splits it was not trained on; the model card quotes these figures.

    python experiments/pretrain/measure.py --model tiny-t2v --to runs/tiny-t2v/measures
    python experiments/pretrain/measure.py vae clip            # only some of the parts

Each part writes one JSON file, with one value a video where intervals are given (bootstrap over videos).
"""

import argparse
import json
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from clip import Clip, family
from torch import Tensor
from vae import frame_batch

from vdprobe.analyses.propagation import Propagation, pixel_patches, propagate_labels, propagation_scores
from vdprobe.data.moving_shapes import make_video
from vdprobe.data.moving_shapes.language import caption
from vdprobe.data.moving_shapes.sample import Draws
from vdprobe.data.moving_shapes.scene import COLOURS, HELD_OUT, SHAPES
from vdprobe.data.moving_shapes.splits import SPLITS, split_scene, split_seed
from vdprobe.data.moving_shapes.video import ShapesVideo
from vdprobe.figures.film import draw_sheet
from vdprobe.metrics.intervals import bootstrap_interval, paired_interval
from vdprobe.models.diffusion.clip_image import ImageEncoder
from vdprobe.models.diffusion.clip_text import TextEncoder
from vdprobe.models.diffusion.decoder import VideoDecoder
from vdprobe.models.diffusion.frame_vae import VideoEncoder
from vdprobe.models.diffusion.noise import gaussian_clip
from vdprobe.models.diffusion.pipeline import Pipeline, find_pipeline
from vdprobe.models.diffusion.sampling import DDIM, initial_noise, sample_latents
from vdprobe.models.unet3d.load import load_unet

CPU = torch.device("cpu")
FULL = torch.float32


def load_clip(pipeline: Pipeline) -> Clip:
    """Both towers as shipped."""
    text = TextEncoder.load(pipeline, FULL, CPU)
    clip = Clip(text.tokenizer)
    clip.text, clip.vision = text.model, ImageEncoder.load(pipeline, FULL, CPU).model
    return clip.eval()


def measure_vae(pipeline: Pipeline, _: Path) -> dict[str, object]:
    """Reconstruction of one frame of each test video, from the posterior's mean."""
    encoder, decoder = VideoEncoder.load(pipeline, (), FULL, CPU), VideoDecoder.load(pipeline, FULL, CPU)
    values: dict[str, np.ndarray] = {}
    for split in ("test", "held-out"):
        psnr = []
        for index in range(SPLITS[split].videos):
            pixels = frame_batch(split, index, 1)
            mean = encoder(pixels, posterior=True).mean
            assert mean is not None
            again = decoder(mean.transpose(0, 1) * encoder.vae.config.scaling_factor).float() / 127.5 - 1
            error = ((again - pixels.permute(0, 2, 3, 1)) / 2).square().mean()
            psnr.append(-10 * float(torch.log10(error)))
        values[split] = np.array(psnr)
    return {f"psnr_{split}": asdict(bootstrap_interval(found)) for split, found in values.items()}


def measure_clip(pipeline: Pipeline, _: Path) -> dict[str, object]:
    """Caption to frame among 32: up to 8 of the scene's family (one property of one object apart) and other scenes."""
    clip = load_clip(pipeline)
    out: dict[str, object] = {}
    for split in ("test", "held-out"):
        families = []
        for index in range(SPLITS[split].videos):
            frames = family(split_scene(split, index), Draws(split_seed(split, index), 2), 8, motion=False)
            if len(frames) == 8:
                pixels = torch.from_numpy(np.stack([frame.pixels for frame in frames]))
                families.append((clip.embed_frames(pixels), clip.embed_texts([frames[0].text])[0]))
        right = []
        for k, (own, text) in enumerate(families):
            others = torch.cat([frames for frames, _ in (families[k + 1 :] + families[:k])[:24]])[::8]
            right.append(float((torch.cat([own, others]) @ text).argmax() == 0))
        out[f"top1_{split}"] = asdict(bootstrap_interval(np.array(right)))
    return out


class Denoiser:
    """UNet, latents and tokens as the product computes them."""

    def __init__(self, pipeline: Pipeline, taps: list[str]) -> None:
        self.pipeline = pipeline
        self.process = pipeline.process()
        self.video = VideoEncoder.load(pipeline, (), FULL, CPU)
        self.text = TextEncoder.load(pipeline, FULL, CPU)
        self.unet = load_unet(pipeline, taps, FULL, CPU)

    def latents(self, video: ShapesVideo) -> Tensor:
        """(C, F, H, W), the posterior's mean, scaled."""
        pixels = torch.from_numpy(video.rendering.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
        mean = self.video(pixels, posterior=True).mean
        assert mean is not None
        return mean.transpose(0, 1) * self.video.vae.config.scaling_factor

    def run(self, latents: Tensor, noise: Tensor, t: int, text: str) -> dict[str, Tensor]:
        """Taps of one clip, each (F, C, H, W)."""
        level = self.process.level(t)
        tokens = self.text(text).hidden.expand(1, latents.shape[1], -1, -1)
        out = self.unet((level.signal * latents + level.amount * noise)[None], torch.tensor(t), tokens)
        return {name: value[0] for name, value in out.items()}


def measure_denoising(pipeline: Pipeline, _: Path) -> dict[str, object]:
    """Loss with the right caption against another video's, at high noise; and with the frames in order or shuffled."""
    model = Denoiser(pipeline, ["unet.out"])
    rows: dict[str, list[float]] = {name: [] for name in ("loss", "high", "high_other_text", "in_order", "shuffled")}
    count = SPLITS["test"].videos
    captions = [caption(split_scene("test", index), Draws(8, index)) for index in range(count)]
    for index in range(count):
        latents = model.latents(make_video("test", index))
        draws = Draws(9, index)
        order = torch.tensor(draws.shuffled(list(range(latents.shape[1]))))
        cells: dict[str, list[float]] = {name: [] for name in rows}
        for repeat in range(2):
            noise = gaussian_clip("measure", repeat, f"test-{index}", range(latents.shape[1]), (4, 16, 16))
            t, high = int(draws.number(0, 1000)), int(draws.number(500, 951))

            def loss(x: Tensor, at: int, text: str, noise: Tensor = noise) -> float:
                return float((model.run(x, noise, at, text)["conv_out"].transpose(0, 1) - noise).square().mean())

            cells["loss"].append(loss(latents, t, captions[index]))
            cells["shuffled"].append(loss(latents[:, order], t, captions[index]))
            cells["high"].append(loss(latents, high, captions[index]))
            cells["high_other_text"].append(loss(latents, high, captions[(index + 1) % count]))
        cells["in_order"] = cells["loss"]
        for name, values in cells.items():
            rows[name].append(float(np.mean(values)))
    found = {name: np.array(values) for name, values in rows.items()}
    out: dict[str, object] = {"loss": asdict(bootstrap_interval(found["loss"]))}
    for name, worse, better in (("text", "high_other_text", "high"), ("time", "shuffled", "in_order")):
        gap = found[worse] - found[better]
        error = float(gap.std(ddof=1) / len(gap) ** 0.5)
        out[f"{name}_gap"] = asdict(paired_interval(found[worse], found[better]))
        out[f"{name}_gap_in_standard_errors"] = float(gap.mean()) / error
    return out


MOTIONS = ("moving left", "moving right", "moving up", "moving down")


def measure_samples(pipeline: Pipeline, to: Path) -> dict[str, object]:
    """Sampled videos of one object, judged by CLIP: which of the 48 pairs of colour and shape does it see?

    Every pair that training shows, and apart from them the held-out pairs.
    """
    clip = load_clip(pipeline)
    text = TextEncoder.load(pipeline, FULL, CPU)
    unet, decoder = load_unet(pipeline, ["unet.out"], FULL, CPU), VideoDecoder.load(pipeline, FULL, CPU)
    ddim = DDIM.from_config(pipeline.config("scheduler"))
    looks = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    labels = clip.embed_texts([f"a {colour} {shape}" for colour, shape in looks])
    rows = []
    for k, (colour, shape) in enumerate(looks):
        article = "an" if colour[0] in "aeiou" else "a"
        prompt = f"{article} {colour} {shape} {MOTIONS[k % len(MOTIONS)]}"
        noise = initial_noise(prompt, 0, channels=4, frames=8, height=16, width=16)
        words = text(prompt).hidden
        (latents,) = sample_latents(
            unet, ddim, noise[None], words[None], text("").hidden, steps=GUIDED[0], guidance=GUIDED[1]
        )
        frames = decoder(latents).cpu()
        seen = F.normalize(clip.embed_frames(frames).mean(dim=0), dim=0)
        guess = looks[int((labels @ seen).argmax())]
        rows.append((prompt, (colour, shape), guess, frames.numpy()))
    draw_sheet(
        [(f"{prompt}\nCLIP: {' '.join(guess)}", frames) for prompt, _, guess, frames in rows[:24]], to / "samples.png"
    )
    out: dict[str, object] = {"steps": GUIDED[0], "guidance": GUIDED[1], "chance": 1 / len(looks)}
    for name, chosen in (
        ("seen", [r for r in rows if r[1] not in HELD_OUT]),
        ("held_out", [r for r in rows if r[1] in HELD_OUT]),
    ):
        both = np.array([float(wanted == guess) for _, wanted, guess, _ in chosen])
        out[name] = asdict(bootstrap_interval(both)) | {
            "colour": float(np.mean([wanted[0] == guess[0] for _, wanted, guess, _ in chosen])),
            "shape": float(np.mean([wanted[1] == guess[1] for _, wanted, guess, _ in chosen])),
        }
    # The judge itself, on real videos of one object.
    right = []
    index = 0
    while len(right) < 100:
        video = make_video("train", 90_000_000 + index)
        index += 1
        if len(video.scene.objects) == 1 and (video.rendering.visible > 300).all():
            thing = video.scene.objects[0]
            seen = F.normalize(clip.embed_frames(torch.from_numpy(video.rendering.frames)).mean(dim=0), dim=0)
            right.append(float(looks[int((labels @ seen).argmax())] == (thing.colour, thing.shape)))
    out["judge_on_real_videos"] = float(np.mean(right))
    return out


GUIDED = (25, 7.5)
"""Steps and guidance of the samples."""

TAPS = (
    "unet.in",
    "unet.down_blocks.0.resnets.0",
    "unet.down_blocks.0.temp_attentions.0",
    "unet.down.0",
    "unet.down.1",
    "unet.mid",
    "unet.up.0",
    "unet.up.1",
    "unet.up.2",
    "unet.up_blocks.3.resnets.0",
    "unet.up.3",
)
TIMESTEPS = (0, 50, 150, 300)
TEMPERATURES = (0.02, 0.05, 0.1)


def measure_propagation(pipeline: Pipeline, _: Path) -> dict[str, object]:
    """Labels of the first frame carried on by nearest neighbours: J&F on the test split, training-free.

    For each kind of feature the tap, timestep and temperature are chosen on the val split.
    """
    kinds = {
        "trained": Denoiser(pipeline, list(TAPS)),
        "random weights": Denoiser(find_pipeline(f"random-unet:{pipeline.name}"), list(TAPS)),
    }
    chosen: dict[str, tuple[object, ...]] = {}
    table: dict[str, dict[str, float]] = {}
    val = [
        _propagate_all(kinds, video, f"val-{i}", TEMPERATURES)
        for i in range(0, SPLITS["val"].videos, 5)
        if _starts_with_an_object(video := make_video("val", i))
    ]
    for kind in val[0]:
        means = {cell: float(np.mean([video[kind][cell] for video in val])) for cell in val[0][kind]}
        chosen[kind] = max(means, key=lambda cell: means[cell])
        table[kind] = {" ".join(map(str, cell)): round(value, 4) for cell, value in means.items()}
    whole = {f"test-{i}": make_video("test", i) for i in range(SPLITS["test"].videos)}
    named = {name: video for name, video in whole.items() if _starts_with_an_object(video)}
    videos = list(named.values())
    test = [_propagate_all(kinds, video, name, TEMPERATURES, chosen) for name, video in named.items()]
    score = {kind: np.array([video[kind][chosen[kind]] for video in test]) for kind in chosen}
    light = np.array([video.scene.light.kind != "steady" for video in videos])
    colours = [[thing.colour for thing in video.scene.objects] for video in videos]
    shared = np.array([len(set(names)) < len(names) for names in colours])
    out: dict[str, object] = {"no object in the first frame": len(whole) - len(videos)}
    out |= {"chosen on val": {kind: list(map(str, cell)) for kind, cell in chosen.items()}}
    for name, where in (("all", np.ones(len(videos), bool)), ("light changes", light), ("a colour is shared", shared)):
        out[name] = {kind: asdict(bootstrap_interval(values[where])) for kind, values in score.items()}
        for other in ("random weights", "vae latents", "pixels"):
            gain = paired_interval(score["trained"][where], score[other][where])
            out[f"{name}: trained minus {other}"] = asdict(gain)
    out["val"] = table
    return out


def _starts_with_an_object(video: ShapesVideo) -> bool:
    """Whether there is a mask to carry on."""
    return bool(video.rendering.labels[0].any())


def _propagate_all(
    kinds: dict[str, Denoiser],
    video: ShapesVideo,
    name: str,
    temperatures: tuple[float, ...],
    chosen: dict[str, tuple[object, ...]] | None = None,
) -> dict[str, dict[tuple[object, ...], float]]:
    """J&F of a video for each kind of feature and cell (tap, timestep, temperature), or for the chosen cells alone."""
    labels = video.rendering.labels.astype(np.int64)
    out: dict[str, dict[tuple[object, ...], float]] = {}

    def add(kind: str, cell: tuple[object, ...], features: Tensor) -> None:
        for temperature in temperatures:
            whole = (*cell, temperature)
            if chosen is None or chosen[kind] == whole:
                masks = propagate_labels(features, labels[0], Propagation(temperature=temperature))
                scores = propagation_scores(masks, labels)
                out.setdefault(kind, {})[whole] = float(np.mean([s.jf for s in scores]))

    latents = kinds["trained"].latents(video)
    noise = gaussian_clip("measure", 0, name, range(latents.shape[1]), tuple(latents.shape[:1] + latents.shape[2:]))
    for kind, model in kinds.items():
        for t in TIMESTEPS if chosen is None else (int(str(chosen[kind][1])),):
            taps = model.run(latents, noise, t, "")
            for tap, path in zip(TAPS, model.unet.taps, strict=True):
                add(kind, (tap, t), taps[path])
    add("vae latents", ("latents", 0), latents.transpose(0, 1))
    add("pixels", ("8x8", 0), pixel_patches(video.rendering.frames))
    return out


def measure_speed(pipeline: Pipeline, _: Path) -> dict[str, object]:
    """Seconds for the VD-IT taps of one clip of 8 frames at 128x128 under VD-T: VAE, text and UNet."""
    from vdprobe.models.unet3d.taps import VDIT_TAPS

    taps = [tap for tap in VDIT_TAPS if tap.startswith("unet.")]
    model = Denoiser(pipeline, taps)
    seconds = []
    for index in range(12):
        video = make_video("test", index)
        noise = torch.zeros(4, 8, 16, 16)
        began = time.perf_counter()
        model.run(model.latents(video), noise, 0, "a red star")
        seconds.append(time.perf_counter() - began)
    return {"seconds": sorted(seconds)[len(seconds) // 2], "threads": torch.get_num_threads()}


PARTS: dict[str, Callable[[Pipeline, Path], dict[str, object]]] = {
    "vae": measure_vae,
    "clip": measure_clip,
    "denoising": measure_denoising,
    "samples": measure_samples,
    "propagation": measure_propagation,
    "speed": measure_speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    parser.add_argument("--model", default="tiny-t2v")
    parser.add_argument("--to", type=Path, default=Path("runs/tiny-t2v/measures"))
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    pipeline = find_pipeline(options.model)
    for name in options.parts:
        began = time.monotonic()
        with torch.inference_mode():
            found = PARTS[name](pipeline, options.to)
        found["measured in"] = f"{time.monotonic() - began:.0f} s on {platform.machine()}"
        (options.to / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(f"{name}: {json.dumps({k: v for k, v in found.items() if k != 'val'}, indent=1)}", flush=True)
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB of memory")


if __name__ == "__main__":
    main()
