import struct

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from vdprobe.training.curves import event_files, write_row


def events(folder):
    """Of each file, the events: (length, its checksum, event, its checksum), one after the other."""
    out = []
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda path: path.name.split(".")[-1]):
        data, at, found = path.read_bytes(), 0, []
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            found.append(Event.FromString(data[at + 12 : at + 12 + length]))
            at += 16 + length
        out.append(found)
    return out


def values(found):
    return {(event.step, value.tag): value.simple_value for event in found for value in event.summary.value}


def test_rows_are_scalars_of_their_step(tmp_path):
    with event_files(tmp_path, 0) as writer:
        write_row(writer, {"step": 1, "loss": 2.5, "seconds": 1}, ("J&F",))
        write_row(writer, {"step": 2, "loss": 1.5, "J&F": 0.25}, ("J&F",))
    (found,) = events(tmp_path)
    assert values(found) == {
        (1, "training/loss"): 2.5,
        (1, "training/seconds"): 1.0,
        (2, "training/loss"): 1.5,
        (2, "validation/J_and_F"): 0.25,
    }


def test_a_training_resumed_within_a_second_takes_back_what_it_makes_again(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1.7e9)
    with event_files(tmp_path, 0) as writer:
        for step in (1, 2, 3):
            write_row(writer, {"step": step, "loss": 1.0}, ())
    with event_files(tmp_path, 1) as writer:
        write_row(writer, {"step": 2, "loss": 0.5}, ())
    first, again = events(tmp_path)
    assert values(first) == {(step, "training/loss"): 1.0 for step in (1, 2, 3)}
    starts = [event.step for event in again if event.session_log.status == SessionLog.START]
    assert starts == [2]
    assert values(again) == {(2, "training/loss"): pytest.approx(0.5)}
