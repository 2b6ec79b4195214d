"""`vdprobe store`: look at a store, check it, mend it, export from it, make room."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vdprobe.cli.options import Json, Store, Verify
from vdprobe.cli.output import human_bytes, print_json, print_table, say

if TYPE_CHECKING:
    from vdprobe.store.check import Finding
    from vdprobe.store.store import FeatureStore

app = typer.Typer(help="Look at a store, check it, mend it, export from it.", no_args_is_help=True)
SpecKey = Annotated[str, typer.Argument(metavar="SPEC", help="Key of a spec, or its first digits; see `store ls`.")]
SomeSpec = Annotated[str | None, typer.Argument(metavar="[SPEC]", help="Only this spec.", show_default=False)]


def _open(store: str | None, *, verify: bool = True, mending: bool = False) -> "FeatureStore":
    from vdprobe.store.location import default_root
    from vdprobe.store.store import FeatureStore

    return FeatureStore.open(default_root() if store is None else store, verify=verify, mending=mending)


@app.command("ls")
def ls(store: Store = None, as_json: Json = False) -> None:
    """The specs in a store, with their items and bytes."""
    from vdprobe.store.folders import size

    opened = _open(store)
    rows: list[dict[str, Any]] = []
    shown: set[Path] = set()
    for stored in opened.specs():
        items = list(opened.items_of(stored))
        shown.update(item.path for item in items)
        rows.append(
            {
                "spec": stored.key,
                "label": _label(stored.spec),
                "model": stored.spec["model"]["name"],
                "timesteps": stored.spec["timesteps"],
                "videos": len({item.item.video for item in items}),
                "items": len(items),
                "bytes": sum(size(item.path) for item in items),
            }
        )
    if hidden := opened.hidden(shown):
        say(f"{len(hidden)} more are damaged or in the wrong place; `vdprobe store verify` names them")
    if as_json:
        print_json(rows)
        return
    print_table(
        ("spec", "what", "model", "timesteps", "videos", "items", "bytes"),
        [
            (
                row["spec"][:16],
                row["label"],
                row["model"],
                ",".join(map(str, row["timesteps"])) or "-",
                row["videos"],
                row["items"],
                human_bytes(row["bytes"]),
            )
            for row in rows
        ],
    )


def _label(spec: dict[str, Any]) -> str:
    from vdprobe.specs.features import spec_label

    return spec_label((spec["condition"] or {}).get("kind"), (spec["noise"] or {}).get("kind"), spec["taps"])


@app.command("show")
def show(spec: SpecKey, store: Store = None, as_json: Json = False) -> None:
    """One spec whole, and its items."""
    opened = _open(store)
    stored = opened.resolve_spec(spec)
    items = list(opened.items_of(stored))
    if as_json:
        attrs = [{"path": str(item.path), **item.attrs} for item in items]
        print_json({"key": stored.key, "spec": stored.spec, "provenance": stored.provenance, "items": attrs})
        return
    import yaml

    typer.echo(yaml.safe_dump({"key": stored.key, "spec": stored.spec}, sort_keys=False).rstrip())
    print_table(
        ("video", "frames", "text", "path"),
        [(i.item.video, _frames(i.item.frames), i.item.text or "-", i.path.relative_to(opened.root)) for i in items],
    )


def _frames(frames: tuple[int, ...]) -> str:
    return f"{frames[0]}..{frames[-1]} ({len(frames)})"


def _print_findings(findings: "list[Finding]") -> None:
    print_json([{"path": str(f.path), "item": f.item, "problem": f.problem, "kind": f.kind} for f in findings])


@app.command("verify")
def verify(spec: SomeSpec = None, store: Store = None, as_json: Json = False) -> None:
    """Check every byte against what was recorded when it was written; exit status 1 if anything is wrong."""
    from vdprobe.store.check import verify as run

    opened = _open(store, mending=spec is None)
    findings = list(run(opened, spec))
    if as_json:
        _print_findings(findings)
    for finding in findings:
        say(f"{'not proved: ' if finding.kind == 'unproved' else ''}{finding.path}: {finding.item}: {finding.problem}")
    count = sum(finding.kind != "unproved" for finding in findings)
    if count:
        say(f"{count} problems; mend with: vdprobe store repair, then run the extraction again")
        raise typer.Exit(1)
    say("every item is as it was written")


@app.command("repair")
def repair(store: Store = None, as_json: Json = False) -> None:
    """Remove what `verify` finds broken and what dead workers left, so that extraction makes it anew.

    What could not be read may be whole, and is left; the exit status is 1 then.
    """
    from vdprobe.store.check import repair as run

    findings = list(run(_open(store, mending=True)))
    if as_json:
        _print_findings(findings)
    words = {"damage": "removed", "unread": "left", "unproved": "not proved:"}
    for finding in findings:
        say(f"{words[finding.kind]} {finding.path}: {finding.item}: {finding.problem}")
    removed, left = (sum(finding.kind == kind for finding in findings) for kind in ("damage", "unread"))
    say(f"{removed} things removed" + ("; run the extraction again to fill the gaps" if removed else ""))
    if left:
        say(f"{left} things could not be read: make them readable, or remove them by hand")
        raise typer.Exit(1)


@app.command("export")
def export(
    spec: SpecKey,
    target: Annotated[Path, typer.Argument(help="A new .h5 file, or a new folder for .safetensors files.")],
    store: Store = None,
    verify: Verify = None,
) -> None:
    """Write a spec to one HDF5 file, or to a folder with one safetensors file an item."""
    from vdprobe.store.export import export_hdf5, export_safetensors

    opened = _open(store, verify=verify is not False)
    key = opened.resolve_spec(spec).key
    if target.suffix in (".h5", ".hdf5"):
        count = export_hdf5(opened, key, target)
    elif not target.suffix:
        count = export_safetensors(opened, key, target)
    else:
        raise typer.BadParameter(
            f"'{target.name}' is neither a .h5 file nor a folder name for safetensors files", param_hint="TARGET"
        )
    say(f"{count} items in {target}")


@app.command("rm")
def rm(
    spec: SpecKey,
    video: Annotated[str | None, typer.Option(help="Only this video.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: Store = None,
) -> None:
    """Remove a spec, or one video of it."""
    from vdprobe.store.remove import find_folder, remove
    from vdprobe.store.spec_file import NAME, read_spec

    opened = _open(store)
    folder = find_folder(opened, spec)
    stored = read_spec(folder / NAME)
    label = f"its {NAME} is damaged" if stored is None else _label(stored.spec)
    what = f"{folder.name} ({label})" + (f", video '{video}'" if video else "")
    if not yes:
        typer.confirm(f"remove {what} from {opened.root}?", abort=True, err=True)
    items, size = remove(opened, folder.name, video)
    say(f"{items} items removed, {human_bytes(size)} freed")
