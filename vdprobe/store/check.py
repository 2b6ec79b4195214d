"""Find what is broken in a store, and remove it so that the next extraction computes it again.

What `ls`, `items`, readers and exports rest on is proved, or named as what could not be: that the folder is a store,
that a spec says what its key is the hash of, that a group is the item of its key, in its place, and holds the files
that its taps imply with the bytes that were written.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from vdprobe.errors import StoreError, StoreUnusableError
from vdprobe.store import claims, head_file, spec_file
from vdprobe.store.checksum import checksum_file
from vdprobe.store.finding import Finding
from vdprobe.store.folders import children, files, groups_of, spec_folders, video_folders
from vdprobe.store.json_files import NotJson, read_json
from vdprobe.store.leftovers import clean_leftovers, remove
from vdprobe.store.loading import DamageError, Group, load_group
from vdprobe.store.record import NAME
from vdprobe.store.spec_file import StoredSpec, load_spec
from vdprobe.store.store import FeatureStore

__all__ = ["Finding", "clean_leftovers", "repair", "verify", "verify_group"]


def verify(store: FeatureStore, spec_key: str | None = None) -> Iterator[Finding]:
    """Read every file of the store, or of one spec (key or unique prefix), and prove what it says.

    What is removed meanwhile is no problem.
    """
    if spec_key is not None:
        yield from _verify_spec(store.resolve_spec(spec_key).path)
        return
    try:
        head_file.check_head(store.root)
    except NotJson as error:
        yield Finding(store.root / head_file.NAME, "the whole store", str(error))
    except StoreUnusableError as error:
        yield Finding(store.root / head_file.NAME, "the whole store", str(error), "unread")
    except OSError as error:
        yield _unread(store.root / head_file.NAME, "the whole store", error)
    for folder in _seen(spec_folders, store.root):
        yield from [folder] if isinstance(folder, Finding) else _verify_spec(folder)
    try:
        for path in children(store.root / "claims"):
            if claims.is_damaged(path):
                yield Finding(path, "no features", "is not a claim")
    except OSError as error:
        yield _unread(store.root / "claims", "no features", error)


def verify_group(path: Path, spec: StoredSpec | None = None) -> list[Finding]:
    """The problems of one group; none of one that is removed meanwhile.

    - `spec`: of its folder, None where that is not known.
    """
    for _ in range(8):
        before = _identity(path)
        found = list(_verify_group(path, spec))
        if not found or _is_gone(path):
            return []
        if before == _identity(path):
            break
        # another group took its place meanwhile
    return found


def repair(store: FeatureStore) -> list[Finding]:
    """Remove what `verify` finds broken, temporary folders and claims of dead processes, and old ones of other hosts.

    Gives all that was found: what is of kind `damage` was removed, or in the case of `store.json` written again.
    Raises `StoreError` where that fails.
    """
    found = list(verify(store))
    for finding in found:
        if finding.kind != "damage":
            continue
        remove(store.root, finding.path)
        if finding.path == store.root / head_file.NAME:
            store.write_head()
    return [*found, *clean_leftovers(store, aged=True)]


def _verify_spec(folder: Path) -> Iterator[Finding]:
    paths = [path for video in _seen(video_folders, folder) for path in _seen(groups_of, video)]
    count = sum(isinstance(path, Path) for path in paths)
    file, item = folder / spec_file.NAME, f"spec {folder.name}, {count} items"
    spec = None
    try:
        spec = load_spec(file)
        if not spec.signed:
            problem = "was written before specs had a checksum: the model's name and the provenance are not proved"
            yield Finding(file, item, problem, "unproved")
    except FileNotFoundError:
        if count and not _is_gone(folder):
            yield Finding(file, item, "is missing; the next extraction of this spec writes it and keeps the items")
    except NotJson as error:
        problem = f"{error}; the next extraction of this spec writes it again and keeps the items"
        yield Finding(folder if folder.is_symlink() else file, item, problem)
    except OSError as error:
        yield _unread(file, item, error)
    for path in paths:
        yield from [path] if isinstance(path, Finding) else verify_group(path, spec)


def _verify_group(path: Path, spec: StoredSpec | None) -> Iterator[Finding]:
    item = _describe(path)
    try:
        group = load_group(path, spec.key if spec else None)
        if spec is not None and not _fits(group, spec):
            yield Finding(path, item, "has other taps, timesteps or types than its spec")
            return
    except DamageError as error:
        links = (link for link in (path.parent.parent, path.parent) if error.misplaced and link.is_symlink())
        yield Finding(next(links, path), item, str(error))  # what is seen through a link is whole in its own place
        return
    except OSError as error:
        yield _unread(path, item, error)
        return
    for name, (size, checksum) in group.record.files.items():
        file = path / name
        try:
            found = file.stat().st_size
            if found != size:
                yield Finding(path, item, f"{name} has {found} bytes and not {size}")
            elif checksum_file(file) != checksum:
                yield Finding(path, item, f"{name} is not what was written (checksum differs)")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            yield Finding(path, item, f"{name} is missing")
        except OSError as error:
            yield _unread(file, item, error)
    try:
        for file in files(path):
            if (name := file.relative_to(path).as_posix()) != NAME and name not in group.record.files:
                yield Finding(file, item, f"{name} is not in the commit record")
    except OSError as error:
        yield _unread(path, item, error)


def _fits(group: Group, spec: StoredSpec) -> bool:
    asked = (spec.spec["taps"], spec.spec["timesteps"], spec.spec["store_dtype"] == "int8")
    return (list(group.taps), list(group.timesteps), group.scaled) == asked


def _seen(listed: Callable[[Path], list[Path]], folder: Path | Finding) -> list[Path] | list[Finding]:
    """What is listed in a folder, or a finding where it cannot be read; a finding stays what it is."""
    if isinstance(folder, Finding):
        return [folder]
    try:
        return listed(folder)
    except StoreError as error:
        return [Finding(folder, "not known", str(error), "unread")]


def _unread(path: Path, item: str, error: OSError) -> Finding:
    return Finding(path, item, f"cannot be read ({error.strerror or error}), so that it may be whole", "unread")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_gone(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _describe(group: Path) -> str:
    head = read_json(group / "zarr.json") or {}
    try:
        item = head["attributes"]["item"]
        text = "" if item["text"] is None else f", text {item['text'][:60]!r:.300}"
        return f"video {item['video']!r:.60}, frames {item['frames'][0]!r:.20}..{item['frames'][-1]!r:.20}{text}"
    except (KeyError, TypeError, IndexError):
        return f"folder '{group.parent.name}'"
