"""A store is a folder of this machine; an address is refused wherever a folder is asked for."""

import os
from pathlib import Path

import pytest

from vdprobe.errors import ConfigError, StoreError
from vdprobe.extraction.config import StoreConfig
from vdprobe.extraction.stores import store_root
from vdprobe.store.location import default_root, local_folder
from vdprobe.store.store import FeatureStore

ADDRESSES = [
    *("s3://bucket/features", "gs://bucket", "az://a/b", "http://host/x", "https://host", "file:///data/x", "S3://b"),
    *("s3:/bucket", "memory://x", "hf://datasets/x", "git+ssh://x/y", "abfss://c@a.net/p", "file:/data"),
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_refused_everywhere(address, monkeypatch, vdprobe):
    for call in (local_folder, FeatureStore.create, FeatureStore.open, lambda a: StoreConfig(path=a)):
        with pytest.raises(ConfigError, match=r"is an address.*give its path"):
            call(address)
    with pytest.raises(ConfigError, match="is an address"):
        FeatureStore.create(Path(address))
    monkeypatch.setenv("VDPROBE_CACHE", address)
    for call in (default_root, lambda: store_root(StoreConfig())):
        with pytest.raises(ConfigError, match="is an address"):
            call()
    status, _, err = vdprobe("store", "ls")
    assert status == 2 and err.count("\n") == 1 and "is an address" in err
    assert os.listdir() == []


@pytest.mark.parametrize("command", ["extract", "plan"])
def test_commands_that_would_make_one(command, vdprobe, tmp_path):
    (tmp_path / "spec.yaml").write_text("store: {path: 's3://bucket/x'}")
    models = ("--model", "random:tiny", "--videos", ".")
    for arguments in (("--store", "s3://bucket/x"), ("--set", "store.path=s3://bucket/x")):
        status, _, err = vdprobe(command, *models, *arguments)
        assert status == 2 and "'s3://bucket/x' is an address" in err
    status, _, err = vdprobe(command, "spec.yaml", *models)
    assert status == 2 and "'s3://bucket/x' is an address" in err
    assert os.listdir() == ["spec.yaml"]


@pytest.mark.parametrize("root", ["", "a\0b", "a\nb", "~nobody-of-this-name/x"])
def test_what_can_be_no_folder(root):
    for call in (local_folder, FeatureStore.create, FeatureStore.open, lambda r: StoreConfig(path=r)):
        with pytest.raises(ConfigError, match="cannot be the folder of a store"):
            call(root)


def test_names_that_no_file_system_takes():
    for call in (FeatureStore.create, FeatureStore.open):
        with pytest.raises(StoreError, match="File name too long"):
            call("x" * 300)


@pytest.mark.parametrize("root", ["features", "./s3:/b", "../x", "C:\\x", "a b", "été", "/abs/x://y", "a:b"])
def test_paths_are_paths(root, tmp_path):
    assert local_folder(root) == tmp_path / root if not root.startswith("/") else Path(root)
