"""What is removed while it is looked at is no error: tried at every moment at which a file or folder is opened."""

import json
import os
import shutil
import sys

import pytest
from store_things import make_item, make_spec, write

from vdprobe.cli.store import ls, show
from vdprobe.store.check import repair, verify
from vdprobe.store.remove import remove
from vdprobe.store.store import FeatureStore

EVENTS = ("open", "os.scandir", "os.listdir")
KEPT, GONE = (make_spec(taps=("unet.up.1",), timesteps=(t,)) for t in (50, 261))


class Moment:
    """Calls something when the n-th file or folder of a store is about to be opened."""

    def __init__(self):
        self.root, self.left, self.call = "", 0, None
        sys.addaudithook(self)  # which nothing takes away again

    def __call__(self, event, args):
        if self.call is None or event not in EVENTS or not str(args[0]).startswith(self.root):
            return
        self.left -= 1
        if self.left < 0:
            call, self.call = self.call, None
            call()


@pytest.fixture(scope="module")
def moment():
    return Moment()


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    store = FeatureStore.create(tmp_path_factory.mktemp("sound") / "store", durable=False)
    for spec in (KEPT, GONE):
        for item in (make_item(), make_item("dog")):
            write(store, spec, item)
    return store


def look_ls(store, capsys):
    ls(str(store.root), as_json=True)
    return [row["items"] for row in json.loads(capsys.readouterr().out) if row["spec"] == KEPT.key] == [2]


def look_show(store, capsys):
    show(KEPT.key, str(store.root), as_json=True)
    return len(json.loads(capsys.readouterr().out)["items"]) == 2


LOOKS = {
    "verify": lambda store, _: list(verify(store)) == [],
    "repair": lambda store, _: repair(store) == [],
    "items": lambda store, _: [i.item.video for i in store.items() if i.spec_key == KEPT.key] == ["bear", "dog"],
    "ls": look_ls,
    "show": look_show,
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("video", [None, "bear"])
def test_nothing_stops_beside_remove(sound, moment, tmp_path, capsys, look, video):
    number, happened = 0, True
    while happened:
        store = FeatureStore(shutil.copytree(sound.root, tmp_path / str(number)))
        done = []

        def at_once(store=store, done=done):
            done.append(remove(store, GONE.key, video))

        moment.root, moment.left, moment.call = str(store.root), number, at_once
        assert LOOKS[look](store, capsys), number
        moment.call, happened = None, bool(done)
        number += 1
    assert number > 8  # there were moments
    assert os.listdir(tmp_path / "0" / "tmp") == []
