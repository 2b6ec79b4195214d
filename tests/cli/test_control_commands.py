import json

import pytest

DINO = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
DINO |= {"image_size": 28, "patch_size": 14}


@pytest.fixture
def videos(scene, tmp_path):
    return ["--videos", scene / "scene.mp4", "--store", tmp_path / "store", "--device", "cpu"]


def test_pixels_as_a_user_asks_for_them(vdprobe, videos, tmp_path):
    command = [*videos, "--model", "pixels", "--set", "resize.short_side=64"]
    status, out, err = vdprobe("plan", *command, "--json")
    assert status == 0, err
    plan = json.loads(out)
    assert list(plan["specs"]) == ["pixels"]
    assert plan["timesteps"] == []
    # 4 frames of 64 x 96 pixels, three colours, in two bytes, at each of four sizes of patches, and an index of 4 maps
    assert plan["size"]["tap_bytes"] == dict.fromkeys(
        ("pixels.16", "pixels.32", "pixels.4", "pixels.8"), 4 * 3 * 64 * 96 * 2 + 16 * 4 + 4
    )
    status, out, err = vdprobe("extract", *command)
    assert status == 0, err
    assert out.split()[1] == "pixels"
    assert "1 items written" in err
    status, out, _ = vdprobe("store", "ls", "--store", tmp_path / "store")
    assert out.splitlines()[1].split()[1:4] == ["pixels", "pixels", "-"]
    assert vdprobe("store", "verify", "--store", tmp_path / "store")[0] == 0


def test_a_vision_model_as_a_user_asks_for_it(vdprobe, videos, vision_folder):
    model = f"vision:{vision_folder('Dinov2', **DINO)}"
    status, out, err = vdprobe("layers", model, "--height", "64", "--width", "96", "--json")
    assert status == 0, err
    rows = json.loads(out)
    assert [row["tap"] for row in rows] == ["vision.layer.0", "vision.layer.1", "vision.layer.2"]
    assert (rows[0]["shape"], rows[0]["stride"], rows[0]["reached"]) == ([5, 16, 5, 7], 14, None)
    status, out, err = vdprobe("extract", *videos, "--model", model, "--tap", "vision.layer.1", "--json")
    assert status == 0, err
    report = json.loads(out)
    assert (report["written"], list(report["specs"])) == (1, ["vision"])
    status, _, err = vdprobe("extract", *videos, "--model", model, "--tap", "vision.layer.9")
    assert (status, "valid: vision.layer.0, vision.layer.1, vision.layer.2" in err) == (2, True)


def test_video_swin_as_a_user_asks_for_it(vdprobe, videos, tmp_path, monkeypatch, mean_network):
    """A stand-in for the network: what torchvision's computes is compared in `tests/models`."""
    from vdprobe.models.video_swin import video_swin_network
    from vdprobe.store.store import FeatureStore

    monkeypatch.setattr(video_swin_network, "read_network", lambda *_: mean_network)
    (tmp_path / "swin3d_t.pth").write_bytes(b"weights")
    model = f"video-swin:t:{tmp_path / 'swin3d_t.pth'}"
    status, out, err = vdprobe("layers", model, "--frames", "3", "--height", "64", "--width", "96", "--json")
    assert status == 0, err
    rows = json.loads(out)
    assert [row["tap"] for row in rows] == [f"video-swin.stage.{i}" for i in range(4)]
    assert [row["stride"] for row in rows] == [4, 8, 16, 32]
    assert rows[1]["shape"] == [3, 192, 8, 12]
    command = [*videos, "--model", model, "--set", "resize.short_side=64", "--set", "clips.frames=3"]
    status, out, err = vdprobe("extract", *command)
    assert status == 0, err
    assert out.split()[1] == "video-swin"
    for item in FeatureStore.open(tmp_path / "store").items():
        assert item.attrs["model_frame_size"] == [64, 96]
        for row in rows:
            values = item.read(row["tap"])
            assert list(values.shape[1:]) == row["shape"][1:]
            assert item.tap_attrs(row["tap"])["stride"] == row["stride"]
    status, _, err = vdprobe("extract", *videos, "--model", model, "--tap", "video-swin.stage.4")
    assert (status, "did you mean 'video-swin.stage.3'" in err) == (2, True)


SQUARE = "note: the model takes frames of 64x64 pixels alone: frames are padded to a square and scaled to that"


def test_what_a_control_does_to_frames_is_said_with_its_layers_and_with_every_analysis(
    vdprobe, vision_folder, tmp_path
):
    from vdprobe.data.moving_shapes.write import write_moving_shapes

    levit = {"image_size": 64, "hidden_sizes": [16, 32, 64], "num_attention_heads": [1, 1, 1], "depths": [1, 1, 1]}
    model = f"vision:{vision_folder('Levit', **levit, key_dim=[8, 8, 8])}"
    status, out, err = vdprobe("layers", model, "--height", "64", "--width", "96", "--json")
    assert (status, err) == (0, f"{SQUARE}\n")
    assert [row["tap"] for row in json.loads(out)] == ["vision.layer.0"]
    write_moving_shapes(tmp_path / "shapes", {"test": 2}, frames=3, side=64)
    command = ["analyze", "consistency", "--model", model, "--workers", "1", "--device", "cpu"]
    command += ["--videos", tmp_path / "shapes", "--split", "test", "--tap", "vision.layer.0"]
    command += ["--set", "features.clips.frames=3", "--set", "features.resize.short_side=64"]
    command += ["--store", tmp_path / "store", "--out", tmp_path / "out"]
    status, out, err = vdprobe(*command, "--json")
    assert status == 0, err
    result = json.loads(out)
    assert result["extracted"] == 4  # two videos, of the model and of pixels
    assert [f"note: {note}".startswith(SQUARE) for note in result["notes"]] == [True]
    status, _, err = vdprobe(*command)  # nothing is extracted, and it is said again
    assert status == 0
    assert SQUARE in err
    assert "0 items extracted" in err


def test_layers_of_pixels_and_of_latents(vdprobe):
    status, out, _ = vdprobe("layers", "pixels", "--height", "72")
    assert status == 0
    assert "pixels.32" in out
    assert "5 x 3072 x 3 x 14" in out
    rows = {row["tap"]: row for row in json.loads(vdprobe("layers", "random:tiny", "--json")[1])}
    assert (rows["vae.latents"]["shape"], rows["vae.latents"]["stride"]) == ([5, 4, 32, 56], 8)


def test_light_and_flip_by_name(vdprobe, videos):
    keys = set()
    for extra in ([], ["lighting.strength=0"], ["lighting.strength=0.5"], ["resize.flip=true"], ["resize.flip=false"]):
        options = [part for setting in extra for part in ("--set", setting)]
        status, out, err = vdprobe("extract", *videos, "--model", "pixels", "--dry-run", "--json", *options)
        assert status == 0, err
        keys.add(json.loads(out)["would_write"][0]["spec"])
    assert len(keys) == 3
    status, _, err = vdprobe("extract", *videos, "--model", "pixels", "--set", "lighting.strenght=1")
    assert (status, "unknown option 'lighting.strenght': did you mean 'strength'" in err) == (2, True)


def test_what_light_cuts_is_said(vdprobe, videos):
    status, _, err = vdprobe("extract", *videos, "--model", "pixels", "--set", "lighting.strength=1")
    assert status == 0
    assert "note: the change of light takes values past 0 or 255, where they are cut (scene[0..3]: " in err


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("pixel", "and not random:{tiny,modelscope,"),
        ("video-swin:x", "no Video Swin of size 'x' (in 'video-swin:x'): valid: t, s, b"),
        ("vision:nowhere", "no vision model 'nowhere': neither a folder nor a Hugging Face id"),
    ],
)
def test_unknown_models_are_one_line(vdprobe, videos, model, message):
    status, _, err = vdprobe("extract", *videos, "--model", model)
    assert status == 1
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1
