"""The store that a configuration names."""

import os
from pathlib import Path

from vdprobe.extraction.config import StoreConfig
from vdprobe.store.location import default_root, local_folder
from vdprobe.store.store import FeatureStore


def store_root(config: StoreConfig) -> Path:
    """The folder of the store."""
    return default_root() if config.path is None else local_folder(config.path)


def make_store(config: StoreConfig) -> FeatureStore:
    """The store, made if it is absent. Raises as `FeatureStore.create`."""
    return FeatureStore.create(store_root(config), verify=config.verify, durable=config.durable)


def open_store(config: StoreConfig) -> FeatureStore:
    """The store, which must be there. Raises as `FeatureStore.open`."""
    return FeatureStore.open(store_root(config), verify=config.verify, durable=config.durable)


def store_if_there(config: StoreConfig) -> FeatureStore | None:
    """The store, None where none was made yet: for looking without making one."""
    return open_store(config) if os.path.lexists(store_root(config) / "store.json") else None
