"""Writes the model card from the logs of the trainings and the figures that measure.py left.

python experiments/pretrain/card.py --out runs/tiny-t2v --notes experiments/pretrain/shipped.md
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from unet import CONFIG as UNET
from vae import CONFIG as VAE

CARD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-video
---
# tiny-t2v

A text-to-video diffusion model of ModelScopeT2V's architecture at a small width, really pretrained, on
*MovingShapes*, the synthetic video world of `vdprobe.data.moving_shapes`. It ships with vdprobe as something
to learn, test and demonstrate with. **No claim about ModelScopeT2V or any other model may rest on it.**

```
vdprobe sample "a red star moving up"          # 8 frames of 128x128
vdprobe extract --model tiny-t2v --videos my_videos/ --condition vd-it
```

## What it is
| part | what | parameters |
|---|---|---|
{parts}

Weights are float16 safetensors, {megabytes:.1f} MB in all. The noise schedule is ModelScopeT2V's: 1000 steps,
scaled-linear betas from 0.00085 to 0.012, the noise is predicted. `adapters/` holds what VD-IT trains upstream
of the UNet, one file for each condition (`vd-i`, `vd-t`, `vd-it`) and noise (`gaussian`, `predicted`).

## Data
Clips of 8 frames at 128x128 from the train split of MovingShapes: 1 to 5 objects of 6 shapes, 8 colours, 4 textures
and 3 sizes that move, spin, cross, hide each other, come and go, over a moving ground, under light that ramps,
flickers or casts a shadow. Eight pairs of colour and shape never occur in it. Texts are captions of the whole scene
and referring expressions. No picture and no text from anywhere else.

## Recipe
`experiments/pretrain/` of the source, in this order, seed 0. Trained on {machine}.

| part | steps | batch | hours | last loss |
|---|---|---|---|---|
{trainings}

{adapters}

{notes}![losses](losses.png)

## What it shows
`python experiments/pretrain/measure.py`, on splits that no training saw. In brackets:
95 % intervals, bootstrap over videos.

{figures}

![samples](samples.jpg)

## Limits
- It knows MovingShapes and nothing else: on real video its features are those of a small convolutional network that
  never saw a texture of the real world.
- 8 frames of 128x128. Other sizes run, untrained.
- Words outside MovingShapes have tokens, but no meaning: their vectors are as they were drawn.
- It follows the colour of a prompt and seldom the shape, and its objects do not keep their form from frame to
  frame: see the samples.
- Small: what holds for its layers, timesteps or prompts need not hold for a model a hundred times its size.
"""


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The records of a training."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def interval(value: dict[str, float], digits: int = 3) -> str:
    """`0.81 [0.77, 0.85]`."""
    return f"{value['mean']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def draw_losses(logs: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """The training loss of each part against hours."""
    figure = Figure(figsize=(3.2 * len(logs), 2.6))
    FigureCanvasAgg(figure)
    for axis, (name, log) in zip(figure.subplots(1, len(logs), squeeze=False)[0], logs.items(), strict=True):
        hours = [record["seconds"] / 3600 for record in log]
        axis.plot(hours, [record["total"] for record in log], linewidth=0.9)
        axis.set_yscale("log")
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("hours", fontsize=8)
        axis.tick_params(labelsize=7, which="both")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def adapters(folder: Path) -> str:
    """The table of the adapters, each trained through the frozen UNet with a small head that is thrown away."""
    header = "| adapter | steps | hours | last loss | J of the small head, val | words: text's own, before, after |"
    lines = [header, "|---|---|---|---|---|---|"]
    for run in sorted(path for path in folder.iterdir() if (path / "log.jsonl").is_file()):
        log = read_log(run)
        hours = sum(row["seconds"] for row in log) / 3600
        loss = np.mean([row["loss"] for row in log[-20:]])
        figures = f"{hours:.2f} | {loss:.3f} | {log[-1]['j']:.2f} | {words(run)}"
        lines.append(f"| {run.name} | {log[-1]['step']} | {figures} |")
    return "\n".join(lines)


def words(run: Path) -> str:
    """What `train-adapter` measured of words: the text's own tokens, the adapter's before and after."""
    found = json.loads((run / "words.json").read_text(encoding="utf-8"))
    named = {"cosine": "cosine", "text_gap": "text gap at t = 600", "points_colour": "colour words pointing"}
    named |= {"over_pictures": "variance over pictures"}
    columns = (found["after"]["text"], found["before"]["adapter"], found["after"]["adapter"])
    told = [
        f"{name} {', '.join('-' if column[key] is None else f'{column[key]:.3f}' for column in columns)}"
        for key, name in named.items()
    ]
    return "; ".join(told)


def figures(measures: Path) -> str:
    """The table of measured figures with the bar each had to reach."""
    found = {path.stem: json.loads(path.read_text()) for path in measures.glob("*.json")}
    vae, clip, denoising = found["vae"], found["clip"], found["denoising"]
    samples, propagation, speed = found["samples"], found["propagation"], found["speed"]
    rows = [
        ("VAE reconstruction, PSNR in dB, test", interval(vae["psnr_test"], 1), "26"),
        ("the same, held-out pairs of colour and shape", interval(vae["psnr_held-out"], 1), ""),
        ("CLIP, caption to frame among 32, up to 8 near copies, test", interval(clip["top1_test"], 2), "0.80"),
        ("the same, held-out pairs", interval(clip["top1_held-out"], 2), ""),
        ("denoising loss, test", interval(denoising["loss"]), ""),
        ("... another video's caption, t = 500..950: loss rises by", interval(denoising["text_gap"], 4), "> 0"),
        ("    in standard errors", f"{denoising['text_gap_in_standard_errors']:.1f}", "5"),
        ("... frames shuffled: loss rises by", interval(denoising["time_gap"], 4), "> 0"),
        ("samples that CLIP finds of the right colour and shape (of 48)", interval(samples["seen"], 2), "0.70"),
        ("    colour, shape alone", f"{samples['seen']['colour']:.2f}, {samples['seen']['shape']:.2f}", ""),
        ("    held-out pairs", interval(samples["held_out"], 2), ""),
        ("    the judge on real videos of one object", f"{samples['judge_on_real_videos']:.2f}", ""),
        (f"VD-IT taps of one clip, seconds (threads: {speed['threads']})", f"{speed['seconds']:.2f}", "1"),
    ]
    lines = ["| what | value | bar |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    lines += [
        "",
        "Label propagation from the first frame's mask, J&F, nearest neighbours, nothing trained. For each kind of",
    ]
    lines += ["feature the tap, timestep and temperature were chosen on the val split:", ""]
    kinds = list(propagation["chosen on val"])
    lines += [
        "| feature | chosen | all test videos | where the light changes | where objects share a colour |",
        "|---|---|---|---|---|",
    ]
    for kind in kinds:
        cells = (interval(propagation[where][kind]) for where in ("all", "light changes", "a colour is shared"))
        lines.append(f"| {kind} | {', '.join(propagation['chosen on val'][kind])} | {' | '.join(cells)} |")
    for other in kinds[1:]:
        cells = (
            interval(propagation[f"{where}: trained minus {other}"])
            for where in ("all", "light changes", "a colour is shared")
        )
        lines.append(f"| trained minus {other}, paired | | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/tiny-t2v"))
    parser.add_argument("--machine", default="2 CPU cores, no GPU")
    parser.add_argument("--notes", type=Path, help="Markdown: in what the training was not as the scripts are now")
    options = parser.parse_args()
    folder, out = options.out / "pipeline", options.out
    logs = {name: read_log(out / name) for name in ("vae", "clip", "unet")}
    draw_losses(logs, folder / "losses.png")
    with Image.open(out / "measures" / "samples.png") as sheet:
        sheet.convert("RGB").save(folder / "samples.jpg", quality=80)  # a fifth of the PNG's bytes, which are shipped
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    widths = {"unet": UNET["block_out_channels"], "vae": VAE["block_out_channels"]}
    names = {
        "unet": f"`UNet3DConditionModel`, widths {widths['unet']}, one layer a block, cross-attention of width 128",
        "vae": f"`AutoencoderKL`, widths {widths['vae']}, 4 latent channels at stride 8",
        "text_encoder": "`CLIPTextModel`, 4 layers of 128, its own BPE vocabulary",
        "image_encoder": "`CLIPVisionModelWithProjection`, 4 layers of 192, 64 patches of 16x16",
    }
    parts = []
    for part, what in names.items():
        (file,) = (folder / part).glob("*.safetensors")
        parts.append(f"| `{part}` | {what} | {file.stat().st_size / 2e6:.2f} M |")
    batches = {"vae": "8 frames", "clip": "12 families of 8", "unet": "4 clips or 32 frames by turns"}
    trainings = [
        f"| {name} | {log[-1]['step']} | {batches[name]} | {log[-1]['seconds'] / 3600:.2f} | "
        f"{np.mean([r['total'] for r in log[-5:]]):.4f} |"
        for name, log in logs.items()
    ]
    card = CARD.format(
        parts="\n".join(parts),
        megabytes=sum(sizes) / 1e6,
        machine=options.machine,
        trainings="\n".join(trainings),
        figures=figures(out / "measures"),
        adapters=adapters(out / "adapters"),
        notes=options.notes.read_text(encoding="utf-8").strip() + "\n\n" if options.notes else "",
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    print(f"{folder / 'README.md'}")


if __name__ == "__main__":
    main()
