"""Official checkpoints: every name and shape of a real one, and files that must not be trusted."""

import argparse
import collections
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vdprobe.errors import ModelError
from vdprobe.head.config import HeadConfig
from vdprobe.head.files import load_head
from vdprobe.head.head import Head
from vdprobe.head.official import UNUSED, official_names, our_name, read_head, to_official
from vdprobe.head.official_checkpoint import import_official, read_official
from vdprobe.models.diffusion.adapter import OFFICIAL_PREFIX, load_adapter

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="session")
def shapes():
    """Every name and shape of a real checkpoint's trained part."""
    return json.loads((FIXTURES / "vdit_head" / "manifest.json").read_text())


@pytest.fixture(scope="session")
def manifest_tensors(shapes):
    """A value for each tensor, the same one for two names of one tensor; each takes up 4 bytes."""
    values = {name: float(i) for i, name in enumerate(shapes)}
    for name in shapes:
        if our_name(name):
            values[name] = values[next(n for n in official_names(our_name(name)) if n in values)]
    return {name: torch.tensor(values[name]).expand(shape) for name, shape in shapes.items()}


@pytest.fixture
def small_tensors(official_tensors):
    """The trained part of a narrow official model."""
    adapter = load_file(FIXTURES / "vdit_extractor" / "adapter.safetensors")
    return official_tensors | {OFFICIAL_PREFIX + name: tensor for name, tensor in adapter.items()}


def write_checkpoint(path, tensors, **options):
    """A file as the official main.py writes it, with a frozen part and all that lies around the model."""
    frozen = {f"{OFFICIAL_PREFIX}unet.conv_in.weight": torch.zeros(2), "text_encoder.text_backbone.x": torch.zeros(2)}
    content = {
        "model": collections.OrderedDict(tensors | frozen),
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 5e-5, "params": [0]}]},
        "lr_scheduler": {"milestones": collections.Counter([6, 8]), "_last_lr": [5e-5]},
        "epoch": 8,
        "args": argparse.Namespace(nheads=8, lr_drop=[6, 8], output_dir="out", with_box_refine=True, **options),
        "grad_scaler": {},
    }
    torch.save(content, path)
    return path


def test_names_go_both_ways(shapes):
    with torch.device("meta"):
        head = Head(HeadConfig())
    theirs = to_official(head)
    of_the_head = {name for name in shapes if our_name(name)}
    assert theirs.keys() == of_the_head
    assert {name: list(tensor.shape) for name, tensor in theirs.items()} == {name: shapes[name] for name in of_the_head}
    assert {our_name(name) for name in theirs} == head.state_dict().keys()
    rest = [n for n in shapes if n not in of_the_head and not n.startswith(UNUSED)]
    assert all(n.startswith(OFFICIAL_PREFIX) for n in rest)
    assert len(rest) == 20  # the adapter


def test_every_tensor_of_a_real_checkpoint_arrives(manifest_tensors, tmp_path):
    made = import_official(write_checkpoint(tmp_path / "checkpoint.pth", manifest_tensors), tmp_path / "out")
    assert (tmp_path / "checkpoint.pth").stat().st_size < 1e6
    assert load_head(tmp_path / "out").config == HeadConfig()
    found = load_file(made.head)
    values = {our_name(name): tensor for name, tensor in manifest_tensors.items() if our_name(name)}
    assert found.keys() == values.keys()
    assert all(found[name].shape == tensor.shape for name, tensor in values.items())
    assert all((found[name] == tensor.flatten()[0]).all() for name, tensor in values.items())
    adapter = load_adapter(made.adapter)
    assert adapter.text_image_attention.heads == 16
    assert adapter.text_projection is None
    norm = f"{OFFICIAL_PREFIX}cross_attn.pos_ffn.layer_norm.weight"
    assert (adapter.text_image_attention.norm2.weight == manifest_tensors[norm]).all()
    assert made.adapter_parameters == sum(t.numel() for t in adapter.state_dict().values())
    assert made.head_parameters == sum(tensor.numel() for tensor in values.values())


def test_an_imported_head_answers_as_the_official_one(small_tensors, one_clip, tmp_path):
    save_file(small_tensors, tmp_path / "state.safetensors")
    import_official(tmp_path / "state.safetensors", tmp_path / "out")
    head = load_head(tmp_path / "out")
    with torch.inference_mode():
        found = head.best(head(*one_clip.inputs))
    assert (found.masks - one_clip.tensors["eval.pred_masks"]).abs().max() < 1e-4
    assert load_adapter(tmp_path / "out" / "adapter.safetensors").image_projection is not None


def test_the_frozen_models_are_left_out(small_tensors, tmp_path):
    path = write_checkpoint(tmp_path / "checkpoint.pth", small_tensors)
    assert read_official(path).keys() == small_tensors.keys()


def test_there_and_back(small_tensors, official_tensors):
    back = to_official(read_head(small_tensors))
    for name, tensor in official_tensors.items():
        if not name.startswith(UNUSED):
            assert torch.equal(back[name], tensor), name


def without(name):
    return lambda tensors: tensors.pop(name)


def put(name, *shape):
    return lambda tensors: tensors.update({name: torch.ones(shape)})


NOISE = f"{OFFICIAL_PREFIX}noise_fc.2.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("query_tensors"), "has no query_tensors: it is incomplete, or none of VD-IT"),
        (without("class_embed.1.bias"), r"has no class_embed\.1\.bias: it is incomplete"),
        (without(NOISE), r"has no backbone\.0\.diff_ftex\.noise_fc\.2\.weight: it is incomplete"),
        (put("input_fft.0.weight", 2), r"input_fft\.0\.weight: no part of the official VD-IT model"),
        (put(f"{OFFICIAL_PREFIX}text_projection.linear1.weight", 2), "no part of the official VD-IT model"),
        (put("controller.layers.2.weight", 3, 3), r"controller\.layers\.2\.weight has shape \(3, 3\)"),
        (put("controller.layers.3.weight", 3, 3), r"controller\.layers\.3\.weight has shape .* should have None"),
        (put("query_tensors", 5), r"query_tensors has shape \(5,\), it should be a matrix"),
        (put("text_proj.fc.weight", 48, 768), r"width \(=48\) must be a multiple of 32"),
        (put(NOISE, 5, 5), r"noise_fc\.2\.weight has shape \(5, 5\), .* should have \(4, 4\)"),
        (put(f"{OFFICIAL_PREFIX}act_1_postprocess.0.bias", 64), "are one tensor in the official model and differ"),
        (put("transformer.decoder.bbox_embed.0.layers.2.bias", 4), "are one tensor in the official model and differ"),
    ],
)
def test_a_checkpoint_that_is_not_the_official_model(change, words, small_tensors, tmp_path):
    tensors = dict(small_tensors)
    change(tensors)
    path = write_checkpoint(tmp_path / "checkpoint.pth", tensors)
    with pytest.raises(ModelError, match=words) as error:
        import_official(path, tmp_path / "out")
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("option", "value"), [("freeze_text_encoder", False), ("enc_n_points", 8)])
def test_a_training_that_shapes_do_not_tell_from_the_official_one(option, value, small_tensors, tmp_path):
    path = write_checkpoint(tmp_path / "checkpoint.pth", small_tensors, **{option: value})
    with pytest.raises(ModelError, match=f"it was trained with {option}={value}; only models with"):
        import_official(path, tmp_path / "out")


class Malicious:
    """Creates a file when it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mknod, (str(self.path),))


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
@pytest.mark.parametrize("where", [lambda bad: bad, lambda bad: {"model": {}, "args": argparse.Namespace(x=bad)}])
def test_code_in_a_checkpoint_is_not_run(save, where, tmp_path):
    path, touched = tmp_path / "checkpoint.pth", tmp_path / "touched"
    save(where(Malicious(touched)), path)
    with pytest.raises(ModelError) as error:
        import_official(path, tmp_path / "out")
    assert "\n" not in str(error.value)
    if save is torch.save:
        assert "it asks for posix.mknod, which could run code and was not run" in str(error.value)
    assert not touched.exists()
    assert not (tmp_path / "out").exists()
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())
    assert touched.exists()  # the file is what it should be


@pytest.mark.parametrize("name", ["checkpoint.pth", "state.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_file_that_is_no_checkpoint(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        ModelError, match=r"damaged, or no file of tensors|no plain file of tensors .* or it is damaged"
    ) as error:
        import_official(tmp_path / name, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_torn_checkpoint(small_tensors, tmp_path):
    path = write_checkpoint(tmp_path / "checkpoint.pth", small_tensors)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        ModelError, match=r"damaged, or no file of tensors|no plain file of tensors .* or it is damaged"
    ):
        import_official(path, tmp_path / "out")


@pytest.mark.parametrize("content", [[1, 2], {"model": {"epoch": 3}}, {0: torch.zeros(1)}])
def test_a_file_without_a_state_dict(content, tmp_path):
    torch.save(content, tmp_path / "checkpoint.pth")
    with pytest.raises(ModelError, match="no state dict"):
        import_official(tmp_path / "checkpoint.pth", tmp_path / "out")


def test_the_command(vdprobe, small_tensors, tmp_path):
    path = write_checkpoint(tmp_path / "checkpoint.pth", small_tensors)
    status, out, err = vdprobe("import-official", path, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert [line.split("  ")[0] for line in out.splitlines()] == [
        str(tmp_path / "out" / name) for name in ("adapter.safetensors", "head.safetensors")
    ]
    status, out, _ = vdprobe("import-official", path, "--out", tmp_path / "out", "--json")
    made = json.loads(out)
    assert load_head(Path(made["config"]).parent).config.queries == 5
    assert made["adapter_parameters"] > 0


def test_the_command_on_a_missing_file_or_a_folder_that_cannot_be(vdprobe, small_tensors, tmp_path):
    status, _, err = vdprobe("import-official", tmp_path / "none.pth", "--out", tmp_path)
    assert status == 1
    assert err == f"error: {tmp_path / 'none.pth'}: there is no such file; check the path\n"
    path = write_checkpoint(tmp_path / "checkpoint.pth", small_tensors)
    status, _, err = vdprobe("import-official", path, "--out", path)
    assert status == 1
    assert "cannot make the folder" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("old", [False, True])
def test_a_checkpoint_as_people_have_them(old, small_tensors, tmp_path):
    """Wrapped for several GPUs, counted by thop, with options of numpy and paths, in torch's format before 1.6 too."""
    tensors = {f"module.{name}": tensor for name, tensor in small_tensors.items()}
    tensors |= {"module.total_ops": torch.zeros(1), "module.input_proj.0.total_params": torch.zeros(1)}
    content = {
        "model": tensors,
        "args": argparse.Namespace(
            lr=np.float64(5e-5),
            epochs=np.int64(9),
            half=np.float32(0.5),
            with_box_refine=np.bool_(True),
            enc_n_points=np.int32(4),
            output_dir=Path("out"),
        ),
    }
    path = tmp_path / "checkpoint.pth"
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    found = read_official(path)
    assert found.keys() == small_tensors.keys()
    assert all(torch.equal(found[name], small_tensors[name]) for name in found)
    import_official(path, tmp_path / "out")
    load_head(tmp_path / "out")


def test_a_wrapped_state_dict_as_safetensors(small_tensors, tmp_path):
    save_file({f"module.{name}": tensor for name, tensor in small_tensors.items()}, tmp_path / "s.safetensors")
    assert read_official(tmp_path / "s.safetensors").keys() == small_tensors.keys()


def test_numbers_of_numpy_1_are_known(small_tensors, tmp_path):
    """Their pickles name the module that numpy 2 has renamed."""
    path = tmp_path / "checkpoint.pth"
    content = {"model": small_tensors, "args": argparse.Namespace(lr=np.float64(1))}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert read_official(path).keys() == small_tensors.keys()


@pytest.mark.parametrize("value", [np.float64(8), [8], {"a": 1}])
def test_an_option_of_another_type_is_told(value, small_tensors, tmp_path):
    path = write_checkpoint(tmp_path / "checkpoint.pth", small_tensors, enc_n_points=value)
    with pytest.raises(ModelError, match="it was trained with enc_n_points="):
        import_official(path, tmp_path / "out")


def test_weights_that_are_not_finite_are_named(small_tensors, tmp_path):
    tensors = {**small_tensors, "query_tensors": small_tensors["query_tensors"] * float("nan")}
    path = write_checkpoint(tmp_path / "checkpoint.pth", tensors)
    with pytest.raises(ModelError, match="'query_tensors' holds values that are not finite"):
        import_official(path, tmp_path / "out")
    save_file(tensors, tmp_path / "state.safetensors")
    with pytest.raises(ModelError, match="'query_tensors' holds values that are not finite"):
        import_official(tmp_path / "state.safetensors", tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "value"),
    [("encoder_layers", 1_000_000), ("feedforward", 10**9), ("queries", 10**9), ("text_width", 10**9)],
)
def test_a_head_of_absurd_sizes_takes_no_memory(key, value, small_tensors, tmp_path):
    path = write_checkpoint(tmp_path / "checkpoint.pth", small_tensors)
    config = import_official(path, tmp_path / "out").config
    config.write_text(json.dumps(json.loads(config.read_text()) | {key: value}))
    with pytest.raises(ModelError, match=rf"not of the sizes in head.json: {key} is {value} in head.json"):
        load_head(tmp_path / "out")
