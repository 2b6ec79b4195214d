"""`vdprobe extract`: fill the store; the same command again goes on where it was."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vdprobe.cli import options as o
from vdprobe.cli.output import human_bytes, human_seconds, print_json, say, show_progress, stop

if TYPE_CHECKING:
    from vdprobe.extraction.plan import Plan
    from vdprobe.extraction.report import Report


def extract(
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
    seed: o.Seed = None,
    batch_size: o.BatchSize = None,
    exact: o.Exact = None,
    store: o.Store = None,
    shard: Annotated[str | None, typer.Option(help="i/n: this worker's share of the clips, i from 0.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    as_json: o.Json = False,
    assignments: o.Set = None,
) -> None:
    """Extract features into the store. Run it again to resume; finished work is never repeated."""
    from vdprobe.extraction.plan import make_plan
    from vdprobe.extraction.run import extract as run
    from vdprobe.extraction.stores import make_store, store_root

    config = o.build_config(ctx.params)
    plan = make_plan(config, parse_shard(shard) if shard else (0, 1))
    root = store_root(config.store)
    if dry_run:
        _dry_run(plan, root, as_json)
        return
    try:
        with show_progress() as tick:
            report = run(plan, make_store(config.store), on_progress=tick)
    except KeyboardInterrupt:
        stop("interrupted: what is in the store is whole; run the same command again to go on")
    _show(report, plan, root, as_json)
    raise typer.Exit(0 if report.ok else 1)


def parse_shard(text: str) -> tuple[int, int]:
    """`2/8` to (2, 8)."""
    from vdprobe.errors import ConfigError, shown
    from vdprobe.specs.numbers import whole_number

    first, _, second = text.partition("/")
    index, count = whole_number(first), whole_number(second)
    if index is None or count is None or min(index, count) < 0:
        raise ConfigError(f"--shard {shown(text)} is not of the form i/n, such as 0/4")
    return index, count


def _dry_run(plan: "Plan", root: Path, as_json: bool) -> None:
    from vdprobe.extraction.stores import store_if_there

    store = store_if_there(plan.config.store)
    todo = [
        {"spec": spec.key[:16], "label": spec.label, "clip": clip.name, "text": item.text}
        for clip in plan.clips
        for spec in plan.specs
        for item in clip.items(spec)
        if store is None or not store.is_committed(spec.key, item)
    ]
    if as_json:
        print_json({"store": str(root), "would_write": todo, "failures": _failures(plan.failures)})
        return
    for row in todo:
        typer.echo(f"{row['spec']}  {row['label']}  {row['clip']}" + (f"  {row['text']}" if row["text"] else ""))
    for failure in plan.failures:
        say(f"cannot use {failure.where}: {failure.error}")
    say(f"would write {len(todo)} items to {root}")


def _show(report: "Report", plan: "Plan", root: Path, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "store": str(root),
                "specs": {spec.label: spec.key for spec in plan.specs},
                "items": report.items,
                "written": report.written,
                "already": report.already,
                "forwards": report.forwards,
                "seconds": round(report.seconds, 3),
                "notes": report.notes,
                "failures": _failures(report.failures),
                "stopped": report.stopped,
            }
        )
        return
    for fact, places in report.notes.items():
        more = f" and {len(places) - 5} more" if len(places) > 5 else ""
        say(f"note: {fact} ({', '.join(places[:5])}{more})")
    for failure in report.failures:
        say(f"failed: {failure.where}: {failure.error}")
    if report.stopped:
        say(f"stopped: {report.stopped}")
    say(
        f"{report.written} items written ({human_bytes(report.bytes)}, {report.forwards} forwards), "
        f"{report.already} were there, {len(report.failures)} failures, in {human_seconds(report.seconds)}: {root}"
    )
    for spec in plan.specs:
        typer.echo(f"{spec.key[:16]}  {spec.label}")


def _failures(failures: Any) -> list[dict[str, str]]:
    return [{"where": failure.where, "error": failure.error} for failure in failures]
