import hashlib
import json
import os

import pytest

from vdprobe.data import model_files
from vdprobe.data.model_config import read_model_config
from vdprobe.data.model_files import file_digest, weight_files
from vdprobe.errors import ConfigError, DataError, ModelError, VdprobeError
from vdprobe.extraction.config import parse_config
from vdprobe.models.diffusion.pipeline import find_pipeline

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123\n"


@pytest.fixture
def blob(tmp_path, monkeypatch):
    """A file of the Hugging Face cache, by the link that leads to it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = b"weights" * 100
    real = tmp_path / "blobs" / hashlib.sha256(content).hexdigest()
    real.parent.mkdir()
    real.write_bytes(content)
    link = tmp_path / "model.safetensors"
    link.symlink_to(real)
    return link


def test_a_blob_is_what_its_name_says(blob, monkeypatch):
    name = blob.resolve().name
    assert file_digest(blob) == name
    # Once proved it is not read again.
    monkeypatch.setattr(model_files.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert file_digest(blob) == name


@pytest.mark.parametrize("proved", [False, True])
def test_a_damaged_blob_does_not_get_the_healthy_key(blob, proved):
    if proved:
        file_digest(blob)
    content = bytearray(blob.read_bytes())
    content[5] ^= 1
    blob.resolve().write_bytes(content)
    with pytest.raises(ModelError, match=r"model.safetensors is damaged: its SHA-256 is not .*; delete .*blobs"):
        file_digest(blob)


def test_a_cache_folder_that_cannot_be_written_costs_time_alone(blob, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    assert file_digest(blob) == file_digest(blob) == blob.resolve().name


def test_a_file_that_is_named_like_a_hash_elsewhere_is_read(tmp_path):
    path = tmp_path / ("0" * 64)
    path.write_bytes(b"x")
    assert file_digest(path) == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_a_pointer_of_git_lfs_is_named(tmp_path, ending):
    (tmp_path / f"model.{ending}").write_bytes(POINTER)
    with pytest.raises(ModelError, match=r"is a pointer of git-lfs .*: run git lfs pull"):
        weight_files(tmp_path, ("model",), "part 'vae'")


def test_weights_under_another_name_are_told(tmp_path):
    (tmp_path / "model.fp16.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"expected model.safetensors .* it has model.fp16.safetensors, which is none"):
        weight_files(tmp_path, ("model",), "part 'vae'")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "has no weight_map"),
        (b'{"weight_map": []}', "has no weight_map"),
        (b'{"weight_map": {}}', "has no weight_map"),
        (b'{"weight_map": {"a": 1}}', "has no weight_map"),
        (b'{"weight_map": {"a": "../b.safetensors"}}', "which is no file beside it"),
        (b'{"weight_map": {"a": "/etc/passwd"}}', "which is no file beside it"),
        (b'{"weight_map": {"a": "b\\u0000.safetensors"}}', "which is no file beside it"),
        (b'{"weight_map": {"a": "b.safetensors"}}', "names b.safetensors, which is not there"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_an_index_that_is_none(tmp_path, content, message):
    (tmp_path / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        weight_files(tmp_path, ("model",), "part 'vae'")
    assert "\n" not in str(caught.value)


CONFIGS = [
    (b"[1, 2]", "holds no mapping of settings but a list"),
    (b"7", "holds no mapping of settings but a int"),
    (b'{"a": ' * 100_000, "nested too deeply"),
    (b'{"a": "\x00"}', "is not valid JSON"),
    (b"\xff{}", "is not UTF-8"),
    (b'{"hidden_size": ' + b"9" * 5000 + b"}", "a whole number of thousands of digits"),
    (b'{"hidden_size": ' + b"9" * 1000 + b"}", "hidden_size is a huge number, over the limit of 16777216"),
    (b'{"num_hidden_layers": 1000000}', "num_hidden_layers is 1000000, over the limit of 256"),
    (b'{"vision_config": {"num_hidden_layers": 1000000}}', "num_hidden_layers is 1000000, over the limit of 256"),
    (b'{"depths": [2, 1000000]}', "depths is 1000000, over the limit of 256"),
    (b'{"encoder_layers": 257}', "encoder_layers is 257, over the limit of 256"),
    (b'{"layers_per_block": 1000}', "layers_per_block is 1000, over the limit of 32"),
    (b'{"block_out_channels": [' + b"32," * 999 + b"32]}", "block_out_channels has 1000 entries, more than the 64"),
    (b'{"crop_size": {"height": 100000}}', "height is 100000, over the limit of 4096"),
    (b'{"model_max_length": "77"}', "model_max_length is 77, it must be a number of tokens"),
    (b'{"intermediate_size": 1000000000}', "intermediate_size is 1000000000, over the limit"),
    (b'{"hidden_size": 1, "hidden_size": 2}', "the key 'hidden_size' stands twice"),
]


@pytest.mark.parametrize(("content", "message"), CONFIGS)
def test_a_configuration_that_is_none_or_absurd(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_model_config(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_common_configurations_are_read(tmp_path):
    value = {
        "model_max_length": int(1e30),
        "id2label": {str(i): "x" for i in range(21_000)},
        "vocab_size": 250_000,
        "layer_norm_eps": 1e-5,
        "depths": [2, 2, 18, 2],
        "num_hidden_layers": 126,
        "block_out_channels": [320, 640, 1280, 1280],
        "eos_token_id": 10**8,
    }
    (tmp_path / "config.json").write_text(json.dumps(value))
    assert read_model_config(tmp_path / "config.json") == value


def test_a_path_with_nul_is_an_error_of_data():
    from pathlib import Path

    from vdprobe.data.text_files import read_text

    with pytest.raises(DataError, match="can be no path"):
        read_text(Path("a\0b"))


def test_a_million_taps_are_refused_at_once():
    values = {"model": {"pipeline": "random:tiny"}, "videos": {"path": "."}, "taps": ["unet.in"] * 1_000_000}
    with pytest.raises(ConfigError, match="names 1000000 places, over the limit of 1000"):
        parse_config(values)


def part_loaders(pipeline):
    """What loads each part of a pipeline with weights."""
    import torch

    from vdprobe.models.diffusion.clip_image import ImageEncoder
    from vdprobe.models.diffusion.clip_text import clip_text_model
    from vdprobe.models.diffusion.frame_vae import load_vae
    from vdprobe.models.unet3d.load import load_unet

    place = torch.float32, torch.device("cpu")
    return {
        "unet": lambda: load_unet(pipeline, ["unet.out"], *place),
        "vae": lambda: load_vae(pipeline, *place),
        "text_encoder": lambda: clip_text_model(pipeline, *place),
        "image_encoder": lambda: ImageEncoder.load(pipeline, *place),
    }


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("unet", "cross_attention_dim", None, "cross_attention_dim is None, it must be a whole number above 0"),
        ("unet", "in_channels", "4", "in_channels is 4, it must be a whole number"),
        ("unet", "block_out_channels", 32, "block_out_channels is 32, it must be a list of whole numbers"),
        ("vae", "block_out_channels", None, "block_out_channels is None, it must be a list"),
        ("unet", "down_block_types", ["No"] * 4, "'unet' .* cannot be laid out from its configuration"),
        ("vae", "scaling_factor", "x", "scaling_factor is x, it must be a number above 0"),
        ("vae", "scaling_factor", 0, "scaling_factor is 0, it must be a number above 0"),
        ("vae", "down_block_types", ["No"] * 4, "'vae' .* cannot be laid out from its configuration"),
        ("vae", "block_out_channels", [32, 32, 64, 100_000], "configuration and weights do not belong together"),
        ("text_encoder", "hidden_size", 400_000, "configuration and weights do not belong together|cannot be laid out"),
        ("text_encoder", "intermediate_size", 1_000_000, "configuration and weights do not belong together"),
        ("image_encoder", "intermediate_size", 1_000_000, "configuration and weights do not belong together"),
        ("image_encoder", "hidden_act", "no", "cannot be laid out"),
    ],
)
def test_a_part_of_absurd_sizes_takes_no_memory(tmp_path, part, key, value, message):
    import shutil

    from vdprobe.models.diffusion.pipeline import ASSETS

    shutil.copytree(ASSETS / "tiny-t2v", tmp_path / "model")
    path = tmp_path / "model" / part / "config.json"
    config = json.loads(path.read_text())
    config.pop(key) if value is None else config.update({key: value})
    path.write_text(json.dumps(config))
    pipeline = find_pipeline(str(tmp_path / "model"))
    load = part_loaders(pipeline)
    with pytest.raises(VdprobeError, match=message) as caught:
        load[part]()
    assert "\n" not in str(caught.value)


def test_the_settings_of_a_part_inside_those_of_both_clips(tmp_path):
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    (folder / "image_encoder").mkdir()
    (folder / "image_encoder" / "config.json").write_text('{"vision_config": {"hidden_size": 5}}')
    assert find_pipeline(str(folder)).config("image_encoder")["hidden_size"] == 5
    assert os.listdir(folder / "image_encoder") == ["config.json"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_size": {"height": 10, "width": 10}}, r"makes pictures of shape \(3, 10, 10\), the image encoder takes"),
        ({"image_std": [0, 1, 1]}, "finite values; they do not|takes no picture"),
        ({"image_mean": ["a", "b", "c"]}, "takes no picture|cannot be loaded"),
        ({"size": {"shortest_edge": 10**5}}, "shortest_edge is 100000, over the limit of 4096"),
    ],
)
def test_an_image_processor_of_another_model(tmp_path, settings, message):
    import shutil

    import torch

    from vdprobe.models.diffusion.clip_image import ImageEncoder
    from vdprobe.models.diffusion.pipeline import ASSETS

    shutil.copytree(ASSETS / "tiny-t2v", tmp_path / "model")
    path = tmp_path / "model" / "image_encoder" / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(ModelError, match=message) as caught:
        ImageEncoder.load(find_pipeline(str(tmp_path / "model")), torch.float32, torch.device("cpu"))
    assert "\n" not in str(caught.value)


def test_a_models_own_code_is_never_asked_for(tmp_path):
    from transformers import AutoConfig

    settings = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'touched')!r}, 'w')")
    with pytest.raises(ModelError, match="cannot be loaded"):
        model_files.from_pretrained(AutoConfig, tmp_path, "model 'mine'")
    assert not (tmp_path / "touched").exists()


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mknod, (str(self.path),))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "image_encoder"])
def test_code_in_a_parts_weights_is_not_run(tmp_path, part, old):
    import shutil

    import torch
    from safetensors.torch import load_file

    from vdprobe.models.diffusion.pipeline import ASSETS, WEIGHT_NAMES

    shutil.copytree(ASSETS / "tiny-t2v" / part, tmp_path / "model" / part)
    (tmp_path / "model" / "unet").mkdir(exist_ok=True)
    (whole,) = (tmp_path / "model" / part).glob("*.safetensors")
    tensors = load_file(whole)
    whole.unlink()
    path = whole.with_name(f"{WEIGHT_NAMES[part][-1]}.bin")
    pipeline = find_pipeline(str(tmp_path / "model"))
    load = part_loaders(pipeline)
    torch.save(tensors, path, _use_new_zipfile_serialization=not old)
    load[part]()
    torch.save({**tensors, "x": Malicious(tmp_path / "touched")}, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(ModelError) as caught:
        load[part]()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "touched").exists()
