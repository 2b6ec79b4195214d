import pytest
import torch

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.adapter import Adapter, make_adapter
from vdprobe.models.diffusion.conditions import make_condition
from vdprobe.models.diffusion.forms import resolve_condition, resolve_noise
from vdprobe.models.diffusion.tokens import ImageTokens

FULL = make_adapter(width=64, image_width=80, latent_channels=4)
TEXT = torch.randn(77, 64)
IMAGE = ImageTokens(hidden=torch.randn(3, 17, 80), projected=torch.randn(3, 17, 64))


@pytest.mark.parametrize(("kind", "tokens"), [("vd-i", 17), ("vd-t", 77), ("vd-it", 77), ("concat", 94)])
def test_trained_forms(kind, tokens):
    condition = resolve_condition(kind, FULL.fingerprints())
    assert condition.form == "adapter"
    made = make_condition(condition, 3, TEXT, IMAGE, FULL)
    assert made.shape == (3, tokens, 64)


def test_raw_forms_use_nothing_trained():
    raw = {kind: resolve_condition(kind, {}) for kind in ("vd-i", "vd-t", "concat")}
    assert all(c.form == "raw" and c.adapter is None for c in raw.values())
    assert torch.equal(make_condition(raw["vd-t"], 3, TEXT, None, None)[2], TEXT)
    assert torch.equal(make_condition(raw["vd-i"], 3, None, IMAGE, None), IMAGE.projected)
    both = make_condition(raw["concat"], 3, TEXT, IMAGE, FULL)  # an adapter at hand changes nothing
    assert torch.equal(both[1], torch.cat([TEXT, IMAGE.projected[1]]))


def test_vdit_frames_see_their_own_image():
    condition = resolve_condition("vd-it", FULL.fingerprints())
    made = make_condition(condition, 3, TEXT, IMAGE, FULL)
    assert not torch.allclose(made[0], made[1])
    swapped = ImageTokens(IMAGE.hidden[[1, 0, 2]], IMAGE.projected)
    assert torch.allclose(make_condition(condition, 3, TEXT, swapped, FULL)[0], made[1], atol=1e-6)


def test_only_the_parts_used_are_in_the_identity():
    other = make_adapter(width=64, image_width=80, latent_channels=4, seed=1)
    mixed = Adapter(image_projection=FULL.image_projection, text_image_attention=other.text_image_attention)
    full, half = FULL.fingerprints(), mixed.fingerprints()
    assert resolve_condition("vd-i", full) == resolve_condition("vd-i", half)
    assert resolve_condition("vd-it", full) != resolve_condition("vd-it", half)
    assert resolve_condition("vd-t", half).form == "raw"


def test_what_needs_training_says_so():
    with pytest.raises(ModelError, match=r"'vd-it' needs an adapter .* none is given: give --adapter FILE"):
        resolve_condition("vd-it", {})
    projection = Adapter(image_projection=FULL.image_projection).fingerprints()
    with pytest.raises(ModelError, match="this one has image_projection"):
        resolve_condition("vd-it", projection)
    with pytest.raises(ModelError, match=r"'predicted' needs .* take none, gaussian, frame-shared or inverted"):
        resolve_noise("predicted", 0, 50, projection)
    assert resolve_noise("none", 7, 50, {}).seed is None
    assert resolve_noise("gaussian", 7, 50, {}).seed == 7
    assert resolve_noise("predicted", 7, 50, FULL.fingerprints()).seed is None


def test_levels_merge_at_odd_sizes(tiny, place):
    from vdprobe.models.diffusion.vae_taps import split_taps
    from vdprobe.models.unet3d.levels import merge_levels
    from vdprobe.models.unet3d.load import load_unet
    from vdprobe.models.unet3d.taps import VDIT_TAPS, canonical_tap

    unet = load_unet(tiny, split_taps(VDIT_TAPS)[1], *place)
    out = unet(torch.randn(1, 4, 2, 23, 45), torch.tensor(0), torch.randn(1, 2, 7, 64))
    taps = {canonical_tap(f"unet.{path}"): value[0] for path, value in out.items()}
    levels = merge_levels(taps | {"vae.down.2": torch.zeros(2, 64, 46, 90)})
    assert [tuple(level.shape[1:]) for level in levels] == [(64, 46, 90), (64, 23, 45), (96, 12, 23), (96, 6, 12)]
