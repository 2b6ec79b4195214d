import json

import av
import pytest
from PIL import Image

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.studies.sample import SampleConfig, fill_sizes

SMALL = ("--model", "random:tiny", "--steps", 2, "--frames", 2, "--height", 64, "--width", 72, "--device", "cpu")


def decode(path):
    with av.open(path) as film:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in film.decode(video=0)]


def test_prompts_become_videos_and_a_sheet(vdprobe, tmp_path):
    (tmp_path / "more.txt").write_text("a cat\n\n  a car turns left \n", encoding="utf-8")
    out = tmp_path / "made" / "here"
    command = ("sample", "a dog", "--prompts-from", tmp_path / "more.txt", *SMALL, "--out", out, "--count", 2)
    status, text, err = vdprobe(*command, "--seed", 5)
    assert status == 0, err
    assert "6 videos in" in err
    prompts = ["a dog", "a cat", "a car turns left"]
    names = [f"{i:03d}-seed{seed}" for i in range(3) for seed in (5, 6)]
    assert {p.name for p in out.iterdir()} == {
        "sample.json",
        "sheet.png",
        *(f"{name}{suffix}" for name in names for suffix in (".mp4", ".gif")),
    }
    assert [line.split("  ")[-1] for line in text.splitlines()[:-1]] == [p for p in prompts for _ in range(2)]
    assert len({b"".join(decode(out / f"{name}.mp4")) for name in names}) == 6
    assert all(len(decode(out / f"{name}.mp4")) == 2 for name in names)
    with Image.open(out / "000-seed5.gif") as film:
        assert (film.size, film.n_frames) == ((72, 64), 2)
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size[1] > 6 * 96

    record = json.loads((out / "sample.json").read_text())
    assert record["config"]["prompts"] == prompts
    assert record["config"]["guidance"] == 9.0
    assert record["model"]["parts"] == find_pipeline("random:tiny").identity(record["model"]["parts"]).parts
    assert set(record["model"]["parts"]) == {"unet", "vae", "text_encoder", "tokenizer", "scheduler"}
    assert [(s["prompt"], s["seed"], s["mp4"]) for s in record["samples"]] == [
        (prompt, seed, f"{i:03d}-seed{seed}.mp4") for i, prompt in enumerate(prompts) for seed in (5, 6)
    ]
    assert {"vdprobe", "torch", "diffusers", "python"} <= set(record["versions"])


def test_a_video_does_not_depend_on_what_is_sampled_beside_it(vdprobe, tmp_path):
    vdprobe("sample", "a cat", "a dog", *SMALL, "--out", tmp_path / "two", "--count", 2)
    status, text, _ = vdprobe("sample", "a dog", *SMALL, "--out", tmp_path / "one", "--seed", 1, "--json")
    assert status == 0
    made = json.loads(text)
    (sample,) = made["samples"]
    assert (sample["prompt"], sample["seed"]) == ("a dog", 1)
    assert decode(sample["mp4"]) == decode(tmp_path / "two" / "001-seed1.mp4")
    assert made["sheet"] == str(tmp_path / "one" / "sheet.png")
    assert made["record"] == str(tmp_path / "one" / "sample.json")
    assert made["notes"] == []


def test_a_prompt_that_is_cut_is_said(vdprobe, tmp_path):
    long = "a dog " * 40
    status, _, err = vdprobe("sample", long, *SMALL, "--out", tmp_path)
    assert status == 0
    assert "note: prompt of 162 tokens cut to 77, its end is not seen: 'a dog a dog" in err
    assert json.loads((tmp_path / "sample.json").read_text())["notes"][0].startswith("prompt of 162 tokens cut")


def test_samples_of_another_configuration_are_not_overwritten(vdprobe, tmp_path):
    first = ("sample", "a dog", *SMALL, "--out", tmp_path)
    assert vdprobe(*first)[0] == 0
    before = (tmp_path / "000-seed0.mp4").read_bytes()
    status, _, err = vdprobe(*first, "--guidance", 2)
    assert status == 2
    assert "holds a result with another 'guidance' (9.0, asked for is 2.0): give another --out" in err
    assert (tmp_path / "000-seed0.mp4").read_bytes() == before
    assert vdprobe(*first)[0] == 0  # the same ones again are made again
    assert (tmp_path / "000-seed0.mp4").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "nothing says what to sample: give a prompt, such as 'a dog runs', or --prompts-from FILE"),
        (["a dog", "a dog"], 2, "prompt 'a dog' is given twice"),
        (["a dog", "--height", "100"], 2, "height (=100) must be a multiple of 8, the pixels of a latent; write 96"),
        (["a dog", "--width", "0"], 2, "width (=0) must be a multiple of 8, the pixels of a latent; write 8"),
        (["a dog", "--frames", "1"], 2, "frames (=1) must be at least 2: one frame skips the temporal layers"),
        (["a dog", "--steps", "0"], 2, "steps (=0) must be at least 1"),
        (["a dog", "--steps", "1001"], 2, "must be from 1 to the model's 1000 training timesteps"),
        (["a dog", "--count", "0"], 2, "count (=0) must be at least 1"),
        (["a dog", "--seed", "-1"], 2, "seed (=-1) must be at least 0"),
        (["a dog", "--guidance", "-1"], 2, "guidance (=-1.0) must be at least 0"),
        (["a dog", "--guidance", "nan"], 2, "guidance (=nan) must be at least 0"),
        (["a dog", "--dtype", "float8"], 2, "option 'dtype' (='float8')"),
        (["a dog", "--device", "gpu"], 2, "write auto, cpu, cuda or cuda:0"),
        (["a dog", "--model", "tiny"], 1, "not tiny-t2v, and not random:{tiny,modelscope,"),
        (["a dog", "--model", "random:tiny-wan"], 1, "is a WanTransformer3DModel: sample it with diffusers"),
        (["a dog", "--prompts-from", "nowhere.txt"], 1, "cannot read nowhere.txt"),
    ],
)
def test_errors_are_one_line_and_teach(vdprobe, tmp_path, arguments, status, message):
    got, _, err = vdprobe("sample", *SMALL, *arguments, "--out", tmp_path / "out")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert got == status
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made(vdprobe, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, err = vdprobe("sample", "a dog", *SMALL, "--out", tmp_path / "file" / "out")
    assert status == 1
    assert "cannot make the folder" in err
    assert "give another --out" in err


def test_sizes_left_open_are_the_models(monkeypatch):
    pipeline = find_pipeline("random:tiny")
    config = SampleConfig(prompts=("a dog",))

    def sizes(config, sample_size):
        monkeypatch.setattr(type(pipeline), "config", lambda *_: {"sample_size": sample_size})
        filled = fill_sizes(config, pipeline)
        return filled.frames, filled.height, filled.width

    assert sizes(config, 32) == sizes(config, None) == (16, 256, 256)
    assert sizes(config, 16) == (8, 128, 128)
    assert sizes(SampleConfig(prompts=("a dog",), frames=3, height=64), 16) == (3, 64, 128)
    for absurd in (10**9, [32, 32], "32", 0):
        with pytest.raises(ModelError, match=r"has sample_size .*, it must be a whole number from 1 to 512"):
            sizes(config, absurd)


def test_running_out_of_memory_names_the_remedy(vdprobe, tmp_path, monkeypatch):
    import torch

    def fail(*_, **__):
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr("vdprobe.studies.sample.sample_latents", fail)
    status, _, err = vdprobe("sample", "a dog", *SMALL, "--out", tmp_path)
    assert (status, "ran out of memory: lower frames, height or width" in err) == (1, True)


def test_interrupting_exits_130(vdprobe, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vdprobe.studies.sample.sample_latents", stop)
    status, _, err = vdprobe("sample", "a dog", *SMALL, "--out", tmp_path)
    assert (status, "run the same command again" in err) == (130, True)
    assert (tmp_path / "sample.json").exists()


def test_progress_tells_the_rate(vdprobe, tmp_path, monkeypatch):
    monkeypatch.setattr("vdprobe.cli.output.LINE_EVERY", 0.0)
    _, _, err = vdprobe("sample", "a dog", "a cat", *SMALL, "--out", tmp_path)
    lines = [line for line in err.splitlines() if "steps" in line]
    assert [line.split(",")[0] for line in lines] == ["1/4 steps", "2/4 steps", "3/4 steps", "4/4 steps"]
    assert all("/s, " in line and line.endswith(" left") for line in lines)
