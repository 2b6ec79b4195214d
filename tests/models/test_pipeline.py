import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.adapter import make_adapter
from vdprobe.models.diffusion.backbone import Backbone
from vdprobe.models.diffusion.clip_image import ImageEncoder
from vdprobe.models.diffusion.clip_text import TextEncoder
from vdprobe.models.diffusion.forms import resolve_condition
from vdprobe.models.diffusion.frame_vae import VideoEncoder
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.unet3d.load import load_unet

OFFICIAL = Path(__file__).parents[1] / "fixtures" / "vdit_extractor"
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(OFFICIAL, tmp_path / "pipeline"))


def test_identity_is_content_not_place(folder):
    here, there = find_pipeline(str(OFFICIAL)), find_pipeline(str(folder))
    parts = ("unet", "vae", "scheduler", "text_encoder", "image_encoder")
    assert here.identity(parts).parts == there.identity(parts).parts
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text().replace('"layers_per_block": 2', '"layers_per_block": 1'))
    differ = [p for p in parts if here.identity([p]).parts != there.identity([p]).parts]
    assert differ == ["unet", "vae"]


def test_sharded_and_bin_weights_load_the_same(folder):
    expected = load_unet(find_pipeline(str(OFFICIAL)), ["unet.up.0"], torch.float32, CPU).state_dict()
    whole = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    torch.save(tensors, folder / "unet" / "diffusion_pytorch_model.bin")
    from_bin = load_unet(find_pipeline(str(folder)), ["unet.up.0"], torch.float32, CPU).state_dict()
    names = sorted(tensors)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: tensors[name] for name in part}, folder / "unet" / file)
    index = {"weight_map": {name: file for file, part in halves.items() for name in part}}
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    sharded = load_unet(find_pipeline(str(folder)), ["unet.up.0"], torch.float32, CPU).state_dict()
    for name, tensor in expected.items():
        assert torch.equal(tensor, from_bin[name])
        assert torch.equal(tensor, sharded[name])
    (folder / "unet" / "b.safetensors").unlink()
    with pytest.raises(ModelError, match=r"names b\.safetensors, which is not there"):
        load_unet(find_pipeline(str(folder)), ["unet.up.0"], torch.float32, CPU)


def test_truncated_weights_of_later_blocks_are_never_read(folder):
    whole = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({n: t for n, t in load_file(whole).items() if not n.startswith(("up_blocks.3", "conv_out"))}, whole)
    load_unet(find_pipeline(str(folder)), ["unet.up.2"], torch.float32, CPU)
    with pytest.raises(ModelError, match=r"lacks \d+ tensors, such as"):
        load_unet(find_pipeline(str(folder)), ["unet.up.3"], torch.float32, CPU)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: shutil.rmtree(f / "vae"), "has no part 'vae'"),
        (lambda f: (f / "unet" / "config.json").unlink(), r"has no part 'unet' \(.*config.json does not exist\)"),
        (lambda f: (f / "unet" / "config.json").write_text("{"), "is not valid JSON"),
        (lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").unlink(), "'unet' .* has no weights in"),
        (lambda f: shutil.rmtree(f / "scheduler"), "has no part 'scheduler'"),
        (
            lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"\0" * 99),
            "safetensors: it is damaged",
        ),
        (
            lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"\0" * 99),
            "'vae' .*safetensors: it is damaged",
        ),
        (lambda f: shutil.rmtree(f / "image_encoder"), "no part 'image_encoder': give --image-encoder"),
        (lambda f: None, "has no part 'tokenizer'"),  # the fixture has none
    ],
)
def test_a_part_missing_or_torn_is_named(folder, break_it, message):
    break_it(folder)
    with pytest.raises(ModelError, match=message) as caught:
        Backbone.load(
            find_pipeline(str(folder)),
            taps=["unet.in", "vae.down.2"],
            conditions=[resolve_condition("concat", {})],
            device="cpu",
        )
    assert "\n" not in str(caught.value)


def test_weights_of_another_configuration(folder):
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text().replace('"cross_attention_dim": 64', '"cross_attention_dim": 32'))
    with pytest.raises(ModelError, match="configuration and weights do not belong together"):
        load_unet(find_pipeline(str(folder)), ["unet.up.2"], torch.float32, CPU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("random:tinny", "no architecture 'tinny': did you mean 'tiny'"),
        ("random:tiny:x", "write random:tiny or random:tiny:SEED"),
        ("./nowhere", r"not a folder, not a Hugging Face id .* not tiny-t2v, and not random:\{tiny,modelscope,.*\}"),
    ],
)
def test_unknown_models(name, message):
    with pytest.raises(ModelError, match=message):
        find_pipeline(name)


def test_the_bundled_model_is_found_by_its_name(folder, monkeypatch):
    monkeypatch.setattr("vdprobe.models.diffusion.pipeline.ASSETS", folder.parent)
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ModelError, match=r"'tiny-t2v' is not in this installation \(.*tiny-t2v does not exist\)"):
        find_pipeline("tiny-t2v")
    folder.rename(folder.parent / "tiny-t2v")
    pipeline = find_pipeline("tiny-t2v")
    assert pipeline.name == "tiny-t2v"
    assert pipeline.folder("unet") == folder.parent / "tiny-t2v" / "unet"
    assert pipeline.identity(["unet"]).parts == find_pipeline(str(OFFICIAL)).identity(["unet"]).parts


def test_a_folder_that_is_no_pipeline(tmp_path):
    with pytest.raises(ModelError, match="is no pipeline folder"):
        find_pipeline(str(tmp_path))


def test_hugging_face_offline_names_the_remedy(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"cannot fetch 'nobody/nothing' .* go online once, unset HF_HUB_OFFLINE"):
        find_pipeline("nobody/nothing")


def test_a_hugging_face_id_is_fetched_by_part_and_named_by_commit(monkeypatch, tmp_path):
    import huggingface_hub

    asked = {}
    listing = ["unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.safetensors", "vae/model.bin"]

    def snapshot(repo, *, revision, allow_patterns, ignore_patterns):
        asked[repo] = (revision, allow_patterns)
        folder = tmp_path / repo / "0123abc"
        shutil.copytree(OFFICIAL, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("image_encoder"))
        return str(folder)

    listed = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in listing])
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: listed)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    pipeline = find_pipeline("somebody/t2v@main")
    revision, patterns = asked["somebody/t2v"]
    assert revision == "main"
    assert pipeline.name == "somebody/t2v@0123abc"
    assert {"unet/*.safetensors", "unet/*.json", "vae/*.bin", "tokenizer/*.txt"} <= set(patterns)
    assert "unet/*.bin" not in patterns
    # It has no image encoder of its own: the one VD-IT uses is fetched.
    assert pipeline.folders["image_encoder"].name == "0123abc"
    assert "laion/CLIP-ViT-H-14-laion2B-s32B-b79K" in asked


def test_a_pipeline_in_the_cache_does_without_the_network_and_an_image_encoder(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0" * 40
    repo = tmp_path / "models--some--t2v"
    ignore = shutil.ignore_patterns("image_encoder")
    shutil.copytree(OFFICIAL, repo / "snapshots" / commit, ignore=ignore)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    pipeline = find_pipeline("some/t2v")
    assert pipeline.name == f"some/t2v@{commit}"
    load_unet(pipeline, ["unet.in"], torch.float32, CPU)
    with pytest.raises(
        ModelError, match="no part 'image_encoder': give --image-encoder FOLDER or an id, such as laion"
    ):
        ImageEncoder.load(pipeline, torch.float32, CPU)


def test_random_weights_are_the_same_however_much_is_kept(tiny):
    early = load_unet(tiny, ["unet.in"], torch.float32, CPU).state_dict()
    late = load_unet(tiny, ["unet.up.2"], torch.float32, CPU).state_dict()
    assert all(torch.equal(value, late[name]) for name, value in early.items())
    other = load_unet(find_pipeline("random:tiny:1"), ["unet.in"], torch.float32, CPU).state_dict()
    assert not torch.equal(early["unet.conv_in.weight"], other["unet.conv_in.weight"])
    assert find_pipeline("random:tiny:1").identity(["unet"]).parts != tiny.identity(["unet"]).parts


def test_controls_of_a_trained_model():
    trained = find_pipeline(str(OFFICIAL))
    no_unet, nothing = find_pipeline(f"random-unet:{OFFICIAL}"), find_pipeline(f"random:{OFFICIAL}:7")
    parts = ("unet", "vae", "text_encoder", "image_encoder", "scheduler")
    ids = {p.name: p.identity(parts).parts for p in (trained, no_unet, nothing)}
    same = {name: [part for part in parts if ids[name][part] == ids[trained.name][part]] for name in ids}
    assert same[no_unet.name] == ["vae", "text_encoder", "image_encoder", "scheduler"]
    assert same[nothing.name] == ["scheduler"]
    assert nothing.identity(parts).parts != find_pipeline(f"random:{OFFICIAL}").identity(parts).parts
    for pipeline, unet_is_drawn, vae_is_drawn in (
        (trained, False, False),
        (no_unet, True, False),
        (nothing, True, True),
    ):
        unet = load_unet(pipeline, ["unet.in"], torch.float32, CPU).state_dict()["unet.conv_in.weight"]
        vae = VideoEncoder.load(pipeline, (), torch.float32, CPU).vae.state_dict()["encoder.conv_in.weight"]
        known = [load_file(OFFICIAL / part / "diffusion_pytorch_model.safetensors") for part in ("unet", "vae")]
        assert torch.equal(unet, known[0]["conv_in.weight"].float()) != unet_is_drawn
        assert torch.equal(vae, known[1]["encoder.conv_in.weight"].float()) != vae_is_drawn
    assert ImageEncoder.load(nothing, torch.float32, CPU).model.config.hidden_size == 80
    with pytest.raises(ModelError, match="no architecture 'tiny': did you mean 'tiny-t2v'"):
        find_pipeline("random-unet:tiny")


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"width": 32, "image_width": 80, "latent_channels": 4}, "adapter's output have width 32, the UNet's is 64"),
        ({"width": 64, "image_width": 48, "latent_channels": 4}, "adapter's input have width 48, the image encoder's"),
        ({"width": 64, "image_width": 80, "latent_channels": 8}, "latent channels of the adapter have width 8"),
    ],
)
def test_an_adapter_of_other_dimensions(tiny, widths, message):
    adapter = make_adapter(**widths)
    condition = resolve_condition("vd-it", adapter.fingerprints())
    with pytest.raises(ModelError, match=message):
        Backbone.load(tiny, taps=["unet.in"], conditions=[condition], adapters=[adapter], device="cpu")


def test_a_device_that_is_not_there(tiny):
    with pytest.raises(ConfigError, match="write auto, cpu, cuda or cuda:0"):
        Backbone.load(tiny, taps=["vae.down.2"], device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="torch sees no GPU here"):
            Backbone.load(tiny, taps=["vae.down.2"], device="cuda")


def test_text_is_cut_at_77_tokens_and_says_so(tiny):
    text = TextEncoder.load(tiny, torch.float32, CPU)
    short, long = text("a dog"), text("a dog " * 40)
    assert (short.count, short.truncated) == (6, False)  # start, a, d, o, g, end
    assert (long.count, long.truncated) == (2 + 40 * 4, True)
    assert long.hidden.shape == short.hidden.shape == (77, 64)
    # The end of a long text is not seen, its beginning is.
    assert torch.equal(text("a dog " * 41).hidden, long.hidden)


@pytest.mark.parametrize(("dtype", "bound"), [("float16", 0.03), ("bfloat16", 0.25)])
def test_half_precision_stays_close_to_float32(tiny, dtype, bound):
    torch.manual_seed(0)
    pixels = torch.rand(2, 3, 128, 192) * 2 - 1  # smaller, and a group norm sees two numbers
    condition = [resolve_condition("vd-t", {})]
    out = {}
    for name in ("float32", dtype):
        backbone = Backbone.load(tiny, taps=["unet.up.2"], conditions=condition, dtype=name, device="cpu")
        with torch.inference_mode():
            latents = backbone.video(pixels, posterior=True).mean.transpose(0, 1)
            tokens = backbone.text("a dog").hidden.expand(1, 2, -1, -1)
            out[name] = backbone.features(latents, backbone.process.level(0), tokens)["unet.up.2"]
        assert out[name].dtype == getattr(torch, name)
    error = (out[dtype].float() - out["float32"]).std() / out["float32"].std()
    assert error < bound


def test_a_configuration_is_read_once(monkeypatch):
    """Families ask for sizes in every forward; what is given cannot change what was read."""
    pipeline = find_pipeline(str(OFFICIAL))
    first = pipeline.config("unet")
    first["in_channels"] = 5
    place = "vdprobe.models.diffusion.pipeline.read_model_config"
    monkeypatch.setattr(place, lambda path: pytest.fail(f"reads {path}"))
    assert pipeline.config("unet")["in_channels"] == 4
    assert find_pipeline(str(OFFICIAL)) == pipeline
