"""`vdprobe sample`: short videos from texts."""

from pathlib import Path
from typing import Annotated

import typer

from vdprobe.cli.numbers import fraction, whole
from vdprobe.cli.options import Json
from vdprobe.cli.output import count_progress, human_seconds, print_json, say, stop


def sample(
    prompts: Annotated[
        list[str] | None, typer.Argument(help="Texts, each in quotes: one video or more of each.", show_default=False)
    ] = None,
    prompts_from: Annotated[
        Path | None, typer.Option(help="Text file with a prompt a line, after those given.")
    ] = None,
    model: Annotated[str, typer.Option(help="Pipeline folder, Hugging Face id, tiny-t2v or random:tiny.")] = "tiny-t2v",
    out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("samples"),
    frames: Annotated[int | None, whole("Frames; 16, or 8 for a model made for sides under 256.")] = None,
    height: Annotated[int | None, whole("Height in pixels; by default what the model was made for.")] = None,
    width: Annotated[int | None, whole("Width in pixels; by default what the model was made for.")] = None,
    steps: Annotated[int, whole("DDIM steps.")] = 50,
    guidance: Annotated[float, fraction("Classifier-free guidance; 1 is none.")] = 9.0,
    seed: Annotated[int, whole("Seed of the first video of each prompt.")] = 0,
    count: Annotated[int, whole("Videos of each prompt, with seeds from --seed on.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="Compute in float32, float16 or bfloat16.")] = "float32",
    as_json: Json = False,
) -> None:
    """Sample videos from texts: videos/*.mp4, pictures/*.gif, a sheet of all frames, and sample.json."""
    from vdprobe.data.text_files import read_text
    from vdprobe.specs.load import build
    from vdprobe.studies.sample import SampleConfig, run_sample

    lines = read_text(prompts_from).splitlines() if prompts_from else []
    values = {
        "prompts": (*(prompts or ()), *(line.strip() for line in lines if line.strip())),
        "model": model,
        "frames": frames,
        "height": height,
        "width": width,
        "steps": steps,
        "guidance": guidance,
        "seed": seed,
        "count": count,
        "dtype": dtype,
        "device": device,
    }
    try:
        with count_progress("sampling", "steps") as update:
            made = run_sample(build(SampleConfig, values), out, on_progress=update)
    except KeyboardInterrupt:
        stop("interrupted: the videos written so far are whole; run the same command again to make them all")
    if as_json:
        print_json(
            {
                "samples": [
                    {"prompt": s.prompt, "seed": s.seed, "mp4": str(s.mp4), "gif": str(s.gif)} for s in made.samples
                ],
                "sheet": str(made.sheet),
                "record": str(made.record),
                "notes": made.notes,
                "seconds": round(made.seconds, 3),
            }
        )
        return
    for note in made.notes:
        say(f"note: {note}")
    say(f"{len(made.samples)} videos in {human_seconds(made.seconds)}: {out}")
    for s in made.samples:
        typer.echo(f"{s.mp4}  seed {s.seed}  {s.prompt}")
    typer.echo(f"{made.sheet}")
