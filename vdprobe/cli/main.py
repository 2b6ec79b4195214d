"""`vdprobe`: one small file a command; heavy imports happen inside them."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from vdprobe.cli import (
    analyze,
    datasets,
    demo,
    doctor,
    evaluate,
    extract,
    figures,
    import_official,
    layers,
    look,
    plan,
    predict,
    report,
    run,
    sample,
    store,
    submit,
    train_adapter,
    train_head,
)
from vdprobe.cli.boundary import boundary, check_arguments

app = typer.Typer(
    help="What does a frozen text-to-video diffusion model know about a video, where, when, and given what?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("plan")(plan.plan)
app.command("extract")(extract.extract)
app.add_typer(store.app, name="store")
app.add_typer(datasets.app, name="datasets")
app.command("layers")(layers.layers)
app.command("look")(look.look)
app.command("run")(run.run)
app.command("report")(report.report)
app.command("sample")(sample.sample)
app.command("train-adapter")(train_adapter.train_adapter)
app.command("train-head")(train_head.train_head)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("submit")(submit.submit)
app.add_typer(analyze.app, name="analyze")
app.command("figures")(figures.figures)
app.command("import-official")(import_official.import_official)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool | None) -> None:
    if wanted:
        typer.echo(version("vdprobe"))
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Feature extraction and probing of frozen text-to-video diffusion models."""


def main() -> None:
    """Exit status: 0 done, 1 failed, 2 usage, 130 interrupted."""
    with boundary():
        check_arguments(sys.argv[1:])
        status = app(standalone_mode=False)
        sys.stdout.flush()  # a reader that is gone is met here, not when the interpreter ends
    sys.exit(status if isinstance(status, int) else 0)
