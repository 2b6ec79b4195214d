from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.adapter import OFFICIAL_PREFIX, load_adapter, make_adapter, rename_official
from vdprobe.models.diffusion.adapter_set import open_adapter
from vdprobe.models.diffusion.family import family_of

OFFICIAL = Path(__file__).parents[1] / "fixtures" / "vdit_extractor" / "adapter.safetensors"
WIDTHS = {"width": 64, "image_width": 80, "latent_channels": 4}


def test_a_saved_adapter_loads_as_it_was(tmp_path):
    adapter = make_adapter(**WIDTHS, heads=4)
    adapter.save(tmp_path / "a.safetensors")
    loaded = load_adapter(tmp_path / "a.safetensors")
    assert loaded.fingerprints() == adapter.fingerprints()
    assert loaded.text_image_attention.heads == 4
    assert all(torch.equal(a, b) for a, b in zip(adapter.parameters(), loaded.parameters(), strict=True))


def test_official_names_convert_with_nothing_left_over(tmp_path):
    tensors = load_file(OFFICIAL)
    ours = rename_official(tensors)
    assert len(ours) == len(tensors)
    prefixed = {OFFICIAL_PREFIX + name: tensor for name, tensor in tensors.items()}
    assert rename_official(prefixed).keys() == ours.keys()
    # A checkpoint holds more than the adapter: the rest is not ours to read here.
    save_file(prefixed | {"transformer.level_embed": torch.zeros(4, 8)}, tmp_path / "checkpoint.safetensors")
    assert (
        load_adapter(tmp_path / "checkpoint.safetensors", heads=4).fingerprints()
        == load_adapter(OFFICIAL, heads=4).fingerprints()
    )


def test_the_number_of_heads_is_part_of_the_identity():
    assert (
        load_adapter(OFFICIAL, heads=4).fingerprints()["text_image_attention"]
        != load_adapter(OFFICIAL, heads=8).fingerprints()["text_image_attention"]
    )


def test_untrained_adapters_differ_by_seed_and_leave_the_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    zero, one = make_adapter(**WIDTHS), make_adapter(**WIDTHS, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert zero.fingerprints() == make_adapter(**WIDTHS).fingerprints()
    assert zero.fingerprints() != one.fingerprints()


def test_random_adapter_by_name(tiny):
    assert open_adapter("random:3", family_of(tiny)).fingerprints() == make_adapter(**WIDTHS, seed=3).fingerprints()
    with pytest.raises(ConfigError, match="write random:SEED"):
        open_adapter("random:x", family_of(tiny))


def test_errors_teach(tmp_path):
    with pytest.raises(ModelError, match=r"no adapter at .*nowhere"):
        load_adapter(tmp_path / "nowhere.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ModelError, match=r"torn.safetensors: it is damaged, or no file of tensors"):
        load_adapter(tmp_path / "torn.safetensors")
    save_file({"unet.conv_in.weight": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelError, match=r"holds 'unet', which is no part of an adapter.*image_projection"):
        load_adapter(tmp_path / "foreign.safetensors")
    save_file({"image_projection.linear1.weight": torch.zeros(8, 8)}, tmp_path / "part.safetensors")
    with pytest.raises(ModelError, match=r"part 'image_projection' .* is incomplete or of other shapes") as caught:
        load_adapter(tmp_path / "part.safetensors")
    assert "\n" not in str(caught.value)
