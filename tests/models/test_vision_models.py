import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from vdprobe.data.resize import PAD_COLOUR, pad_frames
from vdprobe.errors import ModelError
from vdprobe.models.vision.geometry import Geometry
from vdprobe.models.vision.vision import find_vision

CPU = torch.device("cpu")
TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 28}
TOKENS = {
    "Dinov2": (1, {"patch_size": 14, **TINY}),
    "Dinov2WithRegisters": (5, {"patch_size": 14, "num_register_tokens": 4, **TINY}),
    "CLIPVision": (1, {"patch_size": 14, **TINY}),
    "ViT": (1, {"patch_size": 14, **TINY}),
    "SiglipVision": (0, {"patch_size": 14, **TINY}),
}
SWIN = {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4, "image_size": 32, "patch_size": 4}
CONVNEXT = {"hidden_sizes": [4, 8, 16, 32], "depths": [1, 1, 1, 1]}
LEVIT = {"image_size": 64, "hidden_sizes": [16, 32, 64], "num_attention_heads": [1, 1, 1], "depths": [1, 1, 1]}
LEVIT |= {"key_dim": [8, 8, 8]}


def frames(height=56, width=84, count=2):
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, height, width)).astype(np.float32)


def normalised(pixels):
    """As the processor of the tiny models says."""
    mean, std = (np.array(v, np.float32)[:, None, None] for v in ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]))
    return torch.from_numpy((pixels / 2 + 0.5 - mean) / std)


def load(folder, *, taps=None, dtype=torch.float32, kind="vision"):
    model = find_vision(f"{kind}:{folder}")
    return model, model.maps(taps or model.taps, str(dtype).removeprefix("torch."), "cpu")


@pytest.mark.parametrize("kind", TOKENS)
def test_the_grid_equals_a_direct_call(vision_folder, kind):
    special, config = TOKENS[kind]
    folder = vision_folder(kind, **config)
    model, maps = load(folder)
    assert model.taps == ("vision.layer.0", "vision.layer.1", "vision.layer.2")
    assert model.default_taps == ("vision.layer.2",)
    with torch.inference_mode():
        found = maps(frames())
        network = AutoModel.from_pretrained(folder).eval()
        options = {} if kind.startswith("Dinov2") else {"interpolate_pos_encoding": True}
        states = network(normalised(frames()), output_hidden_states=True, **options).hidden_states
    for tap, state in zip(model.taps, states, strict=True):
        assert found[tap].shape == (2, 16, 4, 6)
        for row, column in ((0, 0), (1, 4), (3, 5)):
            expected = state[:, special + 6 * row + column]
            assert torch.allclose(found[tap][:, :, row, column], expected, atol=1e-5)
    layers = model.describe(model.taps, frames=2, height=56, width=84)
    assert [(layer.tap, layer.shape, layer.stride) for layer in layers] == [(t, (2, 16, 4, 6), 14) for t in model.taps]


@pytest.mark.parametrize(
    ("kind", "config", "strides"), [("Swin", SWIN, [4, 8, 8]), ("ConvNext", CONVNEXT, [4, 4, 8, 16, 32])]
)
def test_maps_of_hierarchical_models(vision_folder, kind, config, strides):
    folder = vision_folder(kind, **config)
    model, maps = load(folder)
    assert list(maps.strides(64, 96).values()) == strides
    with torch.inference_mode():
        found = maps(frames(64, 96))
        out = AutoModel.from_pretrained(folder).eval()(normalised(frames(64, 96)), output_hidden_states=True)
    states = out.get("reshaped_hidden_states") or out.hidden_states
    layers = model.describe(model.taps, frames=2, height=64, width=96)
    for layer, state in zip(layers, states, strict=True):
        assert found[layer.tap].shape == layer.shape == (2, state.shape[1], 64 // layer.stride, 96 // layer.stride)
        assert torch.allclose(found[layer.tap], state, atol=1e-5)


def test_frames_are_padded_to_whole_patches_in_the_mean_colour(vision_folder):
    model, maps = load(vision_folder("Dinov2", **TOKENS["Dinov2"][1]))
    padded = np.empty((2, 3, 70, 84), np.float32)
    padded[:] = (np.array(PAD_COLOUR) * 2 - 1)[:, None, None]
    padded[:, :, :64, :80] = frames(64, 80)
    with torch.inference_mode():
        small, large = maps(frames(64, 80)), maps(padded)
    assert np.allclose(pad_frames(frames(64, 80), 70, 84), padded)
    assert (
        small["vision.layer.2"].shape
        == (2, 16, 5, 6)
        == model.describe(model.taps, frames=2, height=64, width=80)[-1].shape
    )
    assert torch.allclose(small["vision.layer.2"], large["vision.layer.2"], atol=1e-5)
    assert maps.attrs(64, 80) == {"model_frame_size": [70, 84]}
    assert model.notes == ()


def test_a_model_of_one_size_sees_a_scaled_square_and_says_so(vision_folder):
    """LeViT has no positions to interpolate; its later layers have fewer places than patches and are no maps."""
    model, maps = load(vision_folder("Levit", **LEVIT))
    assert model.taps == ("vision.layer.0",)
    assert model.notes == (
        "the model takes frames of 64x64 pixels alone: frames are padded to a square and scaled to that",
    )
    assert maps.attrs(64, 96) == {"model_frame_size": [64, 64]}
    assert maps.strides(64, 96) == {"vision.layer.0": 24}  # four places, of 24 pixels before the scaling
    with torch.inference_mode():
        found = maps(frames(64, 96))["vision.layer.0"]
        square = maps(pad_frames(frames(64, 96), 96, 96))["vision.layer.0"]
    assert found.shape == (2, 16, 4, 4) == model.describe(model.taps, frames=2, height=64, width=96)[0].shape
    assert torch.equal(found, square)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (90, 50), (3, 7), (224, 224)])
def test_a_square_has_whole_strides(height, width):
    geometry = Geometry(channels={"a": 1, "b": 1}, strides={"a": 4, "b": 16}, side=64)
    fitted = geometry.fit(height, width)
    assert fitted.height == fitted.width >= max(height, width)
    assert fitted.strides["b"] == 4 * fitted.strides["a"]
    assert fitted.width == 16 * fitted.strides["a"]  # 64 / 4 places of the finer map
    assert fitted.width - max(height, width) < 16


def test_values_do_not_depend_on_the_other_frames_or_taps(vision_folder):
    folder = vision_folder("Swin", **SWIN)
    with torch.inference_mode():
        many = load(folder)[1](frames(32, 32, count=11))  # more than share a forward
        one = load(folder, taps=["vision.layer.0"])[1](frames(32, 32, count=11)[9:10])
    assert list(one) == ["vision.layer.0"]
    assert torch.allclose(one["vision.layer.0"][0], many["vision.layer.0"][9], atol=1e-5)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 0.02), (torch.bfloat16, 0.1)])
def test_half_precision_stays_close(vision_folder, dtype, bound):
    folder = vision_folder("ViT", **TOKENS["ViT"][1])
    with torch.inference_mode():
        exact, half = (load(folder, dtype=d)[1](frames())["vision.layer.2"] for d in (torch.float32, dtype))
    assert half.dtype == dtype
    assert (half.float() - exact).std() / exact.std() < bound


def test_who_a_model_is(vision_folder, tmp_path):
    folder = vision_folder("ViT", **TOKENS["ViT"][1])
    here, there = find_vision(f"vision:{folder}"), shutil.copytree(folder, tmp_path / "copy")
    assert find_vision(f"vision:{there}").identity().parts == here.identity().parts
    parts = [here.identity().parts["vision"]]
    parts += [find_vision(f"random-vision:{folder}{seed}").identity().parts["vision"] for seed in ("", ":1")]
    assert parts[1] == find_vision(f"random-vision:{folder}:0").identity().parts["vision"]
    processor = there / "preprocessor_config.json"
    processor.write_text(processor.read_text().replace("0.6", "0.7"))
    parts.append(find_vision(f"vision:{there}").identity().parts["vision"])
    weights = load_file(there / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, there / "model.safetensors")
    parts.append(find_vision(f"vision:{there}").identity().parts["vision"])
    assert len(set(parts)) == 5


def test_random_weights_are_drawn_from_their_seed(vision_folder):
    folder = vision_folder("ViT", **TOKENS["ViT"][1])
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with torch.inference_mode():
        trained = load(folder)[1](frames())["vision.layer.2"]
        again, one, two = (
            load(f"{folder}:{seed}", kind="random-vision")[1](frames())["vision.layer.2"] for seed in (1, 1, 2)
        )
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    assert not torch.equal(one, trained)
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's draws are moved


def test_the_image_encoder_alone_of_a_model_that_also_reads_text(vision_folder):
    from transformers import CLIPModel

    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text |= {"vocab_size": 9, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    folder = vision_folder("CLIP", vision_config={"patch_size": 14, **TINY}, text_config=text)
    _, maps = load(folder)
    with torch.inference_mode():
        found = maps(frames(28, 28))["vision.layer.2"]
        encoder = CLIPModel.from_pretrained(folder).eval().vision_model
        state = encoder(normalised(frames(28, 28)), output_hidden_states=True).hidden_states[2]
    assert torch.allclose(found.flatten(2).transpose(1, 2), state[:, 1:], atol=1e-5)


def test_a_model_without_a_place_for_each_patch(vision_folder):
    masked = {"patch_size": 14, **TINY, "decoder_hidden_size": 16, "decoder_num_hidden_layers": 1}
    folder = vision_folder("ViTMAE", **masked, decoder_num_attention_heads=2, decoder_intermediate_size=16)
    with pytest.raises(ModelError, match=r"\(vit_mae\) gives no feature map: none of its 3 hidden states has a place"):
        _ = find_vision(f"vision:{folder}").taps


def test_a_model_of_texts(vision_folder):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    folder = vision_folder("Bert", vocab_size=9, **sizes)
    with pytest.raises(ModelError, match=r"\(bert\) takes no pictures; give a vision model"):
        _ = find_vision(f"vision:{folder}").taps


def drop_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["embeddings.cls_token"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def change(folder, name, **settings):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def want_blue_first(folder):
    path = folder / "preprocessor_config.json"
    values = json.loads(path.read_text()) | {"do_flip_channel_order": True}
    path.write_text(json.dumps(values | {"image_processor_type": "MobileViTImageProcessor"}))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "is no folder of a transformers model: it has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is not valid JSON at line 1"),
        (
            lambda f: (f / "config.json").write_text('{"model_type": "vitt"}'),
            "the configuration of .* cannot be loaded",
        ),
        (lambda f: (f / "preprocessor_config.json").unlink(), "has no preprocessor_config.json .* save its image proc"),
        (
            lambda f: (f / "preprocessor_config.json").write_text("{"),
            "preprocessor_config.json is not valid JSON at line 1",
        ),
        (
            lambda f: change(f, "config.json", num_hidden_layers=10**6),
            "num_hidden_layers is 1000000, over the limit",
        ),
        (
            lambda f: change(f, "config.json", intermediate_size=10**6),
            "weights do not belong together",
        ),
        (lambda f: change(f, "config.json", patch_size=0), "cannot be laid out|takes neither frames"),
        (lambda f: change(f, "preprocessor_config.json", image_mean="abc"), "scales colours|cannot be loaded"),
        (
            lambda f: change(f, "preprocessor_config.json", image_std=[1, 0, 1]),
            "scales colours .* three numbers above 0",
        ),
        (want_blue_first, "wants blue before red, which is not done here"),
        (lambda f: (f / "model.safetensors").unlink(), "has no weights in .*expected model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 99), "model '.*safetensors: it is damaged"),
        (drop_a_tensor, "lacks 1 tensors, such as 'embeddings.cls_token'; is it complete"),
    ],
)
def test_what_is_missing_or_torn_is_named(vision_folder, tmp_path, break_it, message):
    folder = shutil.copytree(vision_folder("ViT", **TOKENS["ViT"][1]), tmp_path / "vit")
    break_it(folder)
    with pytest.raises(ModelError, match=message) as caught:  # noqa: PT012, one of these, whichever it is
        model = find_vision(f"vision:{folder}")
        model.identity()
        model.maps(model.default_taps, "float32", "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["vision:nowhere", "vision:", "random-vision:./nowhere/at/all", "vision:a/b/c"])
def test_unknown_names(name):
    with pytest.raises(ModelError, match=r"neither a folder nor a Hugging Face id .*vision:facebook/dinov2-base, say"):
        find_vision(name)


def test_offline_names_the_remedy(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"cannot fetch 'nobody/dino' .* unset HF_HUB_OFFLINE, or give the folder of a"
    ):
        find_vision("vision:nobody/dino")


def test_an_id_is_named_by_its_commit(monkeypatch, tmp_path, vision_folder):
    import huggingface_hub

    folder = shutil.copytree(vision_folder("ViT", **TOKENS["ViT"][1]), tmp_path / "0123abc")
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda *_, **__: ["model.safetensors"])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    assert find_vision("vision:somebody/vit@main").name == "vision:somebody/vit@0123abc"
    assert find_vision("random-vision:somebody/vit:3").name == "random-vision:somebody/vit@0123abc:3"
