from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants

from vdprobe.data.hub import download
from vdprobe.errors import ModelError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class NoRouteError(Exception):
    """As httpx's errors: none of the built-in ones."""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that is out of reach, and an empty cache; `listing` brings it into reach."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    asked = []

    def unreachable(*_, **__):
        raise NoRouteError("[Errno -2] Name or service\nnot known")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    whole = huggingface_hub.snapshot_download

    def snapshot(repo, **options):
        asked.append(options)
        if options.get("local_files_only"):
            return whole(repo, **options)
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)

    def listing(*names):
        found = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: found)
        return asked

    return listing


def put_in_cache(cache):
    repo = cache / "models--some--model"
    folder = repo / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    return folder


def test_without_a_network_it_is_one_line(hub):
    with pytest.raises(
        ModelError, match=r"cannot fetch 'some/model' .*\(NoRouteError: .*no earlier copy .* go online"
    ) as caught:
        download("some/model", [""])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["some/model", "some/model@main", f"some/model@{COMMIT}"])
@pytest.mark.parametrize("offline", [False, True])
def test_what_was_fetched_before_does_without_a_network(hub, monkeypatch, tmp_path, name, offline):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    folder = put_in_cache(tmp_path)
    assert download(name, [""]) == (folder, f"some/model@{COMMIT}")


def test_a_name_that_is_none(hub, monkeypatch):
    with pytest.raises(ModelError, match=r"cannot fetch 'a/b/c'|cannot be a Hugging Face id"):
        download("a/b/c", [""])


@pytest.mark.parametrize(
    ("names", "fetched", "left"),
    [
        (["unet/w.fp16.safetensors", "unet/w.bin"], "unet/*.bin", "unet/*.safetensors"),
        (["unet/w.safetensors", "unet/w.bin"], "unet/*.safetensors", "unet/*.bin"),
        (["unet/w.non_ema.safetensors", "unet/w.bin"], "unet/*.bin", "unet/*.safetensors"),
        (["unet/open_clip_model.safetensors", "unet/w.bin"], "unet/*.bin", "unet/*.safetensors"),
        (["vae/w.safetensors", "unet/w.bin"], "unet/*.bin", "unet/*.safetensors"),
    ],
)
def test_weights_that_are_not_read_do_not_stand_for_those_that_are(hub, names, fetched, left):
    (asked,) = [hub(*names)]
    download("some/model", ["unet/"])
    patterns = asked[0]["allow_patterns"]
    assert fetched in patterns
    assert left not in patterns
    assert isinstance(asked[0]["ignore_patterns"], list)


def test_an_open_clip_beside_is_not_fetched(hub):
    from huggingface_hub.utils import filter_repo_objects

    names = ["open_clip_model.safetensors", "pytorch_model.bin", "config.json", "model.fp16.safetensors"]
    asked = hub(*names)
    download("some/model", [""])
    options = {key: asked[0][key] for key in ("allow_patterns", "ignore_patterns")}
    assert sorted(filter_repo_objects(names, **options)) == ["config.json", "pytorch_model.bin"]


def test_the_folder_is_named_by_its_commit(hub, tmp_path):
    hub("config.json")
    assert download("some/model@v1", [""]) == (Path(tmp_path / "snapshot"), "some/model@snapshot")
