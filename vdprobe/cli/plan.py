"""`vdprobe plan`: what an extraction would cost, before it costs it."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from vdprobe.cli import options as o
from vdprobe.cli.output import human_bytes, human_seconds, print_json, say

if TYPE_CHECKING:
    from vdprobe.extraction.estimate import Cost, Size


def plan(
    ctx: typer.Context,
    spec: o.Spec = None,
    videos: o.Videos = None,
    layout: o.Layout = None,
    only: o.Only = None,
    expressions: o.Expressions = None,
    model: o.AnyModel = None,
    image_encoder: o.ImageEncoder = None,
    adapter: o.Adapter = None,
    tap: o.Tap = None,
    condition: o.Condition = None,
    noise: o.Noise = None,
    timestep: o.Timestep = None,
    dtype: o.Dtype = None,
    store_dtype: o.StoreDtype = None,
    device: o.Device = None,
    batch_size: o.BatchSize = None,
    exact: o.Exact = None,
    store: o.Store = None,
    probe: Annotated[bool, typer.Option(help="Load the model and time one clip.")] = True,
    as_json: o.Json = False,
    assignments: o.Set = None,
) -> None:
    """Videos, clips, forwards, bytes and time of an extraction, and whether caching beats recomputing."""
    from vdprobe.extraction.estimate import free_bytes, measure_cost, measure_size
    from vdprobe.extraction.plan import make_plan
    from vdprobe.extraction.stores import store_if_there, store_root

    config = o.build_config(ctx.params)
    root = store_root(config.store)
    planned = make_plan(config)
    size = measure_size(planned, store_if_there(config.store))
    cost = measure_cost(planned, size, root) if probe else None
    free = free_bytes(root)
    if as_json:
        print_json(
            {
                "store": str(root),
                "specs": {s.label: s.key for s in planned.specs},
                "timesteps": [{"t": level.timestep, **level.units} for level in planned.levels],
                "size": dataclasses.asdict(size),
                "cost": dataclasses.asdict(cost) if cost else None,
                "free_bytes": free,
            }
        )
    else:
        _show(size, cost, free)
        for level in planned.levels:
            typer.echo(f"timestep   {level.label}")
        typer.echo(f"store      {root}")
    if size.bytes_left > free:
        say(f"error: {human_bytes(size.bytes_left)} to write, {human_bytes(free)} free in {root}: free space first")
        raise typer.Exit(1)


def _show(size: "Size", cost: "Cost | None", free: int) -> None:
    typer.echo(f"videos     {size.videos}")
    typer.echo(f"clips      {size.clips}")
    typer.echo(f"items      {size.items} ({size.items_left} left to do)")
    typer.echo(f"forwards   {size.forwards_left} left, truncated after the last tap")
    typer.echo(f"bytes      {human_bytes(size.bytes)} ({human_bytes(size.bytes_left)} left), {human_bytes(free)} free")
    for tap, count in sorted(size.tap_bytes.items(), key=lambda pair: -pair[1]):
        typer.echo(f"           {human_bytes(count):>10}  {tap}")
    for failure in size.failures:
        say(f"cannot use {failure.where}: {failure.error}")
    if cost is None:
        return
    stages = ", ".join(f"{name} {seconds:.3f}s" for name, seconds in cost.stages.items())
    typer.echo(f"time       {human_seconds(cost.compute)} left (one clip measured: {stages})")
    typer.echo(
        f"disk       writes {human_bytes(cost.write_bytes_per_second)}/s, "
        f"reads {human_bytes(cost.read_bytes_per_second)}/s (page cache warm)"
    )
    verdict = (
        f"caching pays from {cost.break_even:.1f} passes over the data on"
        if cost.break_even is not None
        else "recomputing is faster than reading the cache back: cache fewer taps, or do not cache"
    )
    typer.echo(
        f"a pass     {human_seconds(cost.read_pass)} to read, {human_seconds(cost.compute_pass)} to compute: {verdict}"
    )
