"""A tapped forward over the modules of diffusers' `UNet3DConditionModel`.

The UNet is laid out as a straight program of steps (residual block, temporal convolution, spatial
transformer, temporal transformer, ...), so that it can stop after the last step asked for, and so
that what does not depend on the text runs once for all the expressions of a clip. Run to its end
the program does what `UNet3DConditionModel.forward` does, but for three things:

- `encoder_hidden_states` has one condition *per frame*, which VD-I and VD-IT need;
- a clip of one frame skips the temporal layers, all but the first of the mid block, as the official
  VD-IT code does (unet_3d_condition_it.py, unet_3d_blocks.py);
- several conditions may share one clip of latents.

Shape letters: B latents, E conditions (a multiple of B), F frames, C channels, H W height and
width, N condition tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet3DConditionModel
from jaxtyping import Float, Int
from torch import Tensor, nn

from vdprobe.errors import ConfigError, suggest
from vdprobe.models.networks.group_norm import use_exact_group_norm

TEMPORAL = ("temp_conv", "temp_attn")


@dataclass(frozen=True)
class Step:
    """One module call of the forward.

    - `op`: how the module is called; `path`: where it is, relative to the UNet.
    - `pops`: a skip connection is concatenated before; `pushes`: the output becomes one.
    - `closes`: the block whose output this is, if it is a block's last step.
    - `always`: runs on a single frame too.
    """

    op: str
    path: str
    pops: bool = False
    pushes: bool = False
    closes: str | None = None
    always: bool = True


def program(unet: UNet3DConditionModel) -> tuple[Step, ...]:
    """The steps of a full forward, in order."""
    steps = [
        Step("conv", "conv_in"),
        Step("temp_attn", "transformer_in", pushes=True, always=False),
    ]
    for i, block in enumerate(unet.down_blocks):
        root = f"down_blocks.{i}"
        for j in range(len(block.resnets)):
            layer = _layer(root, j, attends=hasattr(block, "attentions"))
            steps += [*layer[:-1], _with(layer[-1], pushes=True)]
        if block.downsamplers is not None:
            steps.append(Step("conv", f"{root}.downsamplers.0", pushes=True))
        steps[-1] = _with(steps[-1], closes=root)

    mid = unet.mid_block
    steps += [Step("resnet", "mid_block.resnets.0"), Step("temp_conv", "mid_block.temp_convs.0")]
    for j in range(len(mid.attentions)):
        steps += [
            Step("attn", f"mid_block.attentions.{j}"),
            Step("temp_attn", f"mid_block.temp_attentions.{j}", always=False),
            Step("resnet", f"mid_block.resnets.{j + 1}"),
            Step("temp_conv", f"mid_block.temp_convs.{j + 1}", always=False),
        ]
    steps[-1] = _with(steps[-1], closes="mid_block")

    for i, block in enumerate(unet.up_blocks):
        root = f"up_blocks.{i}"
        for j in range(len(block.resnets)):
            layer = _layer(root, j, attends=hasattr(block, "attentions"))
            steps += [_with(layer[0], pops=True), *layer[1:]]
        if block.upsamplers is not None:
            steps.append(Step("upsample", f"{root}.upsamplers.0"))
        steps[-1] = _with(steps[-1], closes=root)
    if unet.conv_norm_out is not None:
        steps += [Step("conv", "conv_norm_out"), Step("conv", "conv_act")]
    return (*steps, Step("conv", "conv_out"))


def _layer(root: str, j: int, *, attends: bool) -> list[Step]:
    steps = [Step("resnet", f"{root}.resnets.{j}"), Step("temp_conv", f"{root}.temp_convs.{j}", always=False)]
    if attends:
        steps.append(Step("attn", f"{root}.attentions.{j}"))
        steps.append(Step("temp_attn", f"{root}.temp_attentions.{j}", always=False))
    return steps


def _with(step: Step, **changes: Any) -> Step:
    return Step(**{**step.__dict__, **changes})


def step_of(tap: str, steps: Sequence[Step]) -> int:
    """Index of the step whose output, or inside of which, `tap` (relative to the UNet) is.

    Raises `ConfigError` if there is none.
    """
    for k, step in enumerate(steps):
        if tap in (step.path, step.closes) or tap.startswith(step.path + "."):
            return k
    raise ConfigError(f"tap 'unet.{tap}' is not on the way from latents to output: it has no feature map of its own")


class TappedUNet3D(nn.Module):
    """The UNet up to the last of `taps`, with the rest of its modules dropped.

    - `unet`: diffusers' model; its unused modules are removed in place, so that on the meta device
      they are never loaded.
    - `taps`: module paths relative to the UNet, such as `down_blocks.0`.

    Raises `ConfigError` for a path that does not exist, with the nearest ones.
    """

    def __init__(self, unet: UNet3DConditionModel, taps: Sequence[str]) -> None:
        super().__init__()
        steps = program(unet)
        modules = dict(unet.named_modules())
        for tap in taps:
            if tap not in modules:
                raise ConfigError(f"unknown tap 'unet.{tap}': {suggest(tap, [m for m in modules if m])}")
        self.taps = tuple(taps)
        last = max((step_of(tap, steps) for tap in taps), default=len(steps) - 1)
        self.steps, dropped = steps[: last + 1], steps[last + 1 :]
        for step in dropped:
            unet.set_submodule(step.path, nn.Identity())
        use_exact_group_norm(unet)
        self.unet = unet
        self.up_factor = 2 ** sum(block.upsamplers is not None for block in unet.up_blocks)
        self._calls: dict[str, Any] = {}

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles each step on its own (`torch.compile`): short compilations, and taps stay outside."""
        self._calls = {s.path: torch.compile(self.unet.get_submodule(s.path), *args, **kwargs) for s in self.steps}

    def forward(
        self,
        latents: Float[Tensor, "B C F H W"],
        timestep: Int[Tensor, "*B"],
        encoder_hidden_states: Float[Tensor, "E F N D"],
        taps: Sequence[str] | None = None,
    ) -> dict[str, Float[Tensor, "E F _ _ _"]]:
        """Features of each tap, (condition, frame, channel, height, width), in the compute dtype.

        - `timestep`: one for all latents, or one for each. `taps`: some of those that it was made for, None for all;
          nothing after the last of them is computed.

        Condition e belongs to latents e // (E / B). Steps before the first cross-attention run once
        per latents and their taps are repeated, so every tap has E rows.
        """
        frames = latents.shape[2]
        share = encoder_hidden_states.shape[0] // latents.shape[0]
        tokens = encoder_hidden_states.flatten(0, 1)  # (E F) N D
        temb = self.unet.time_embedding(self.unet.time_proj(timestep.reshape(-1)).to(latents.dtype))  # (1 or B) D'
        x = latents.transpose(1, 2).flatten(0, 1)  # (B F) C H W
        force_size = any(side % self.up_factor for side in latents.shape[-2:])
        skips: list[Tensor] = []
        out: dict[str, Tensor] = {}
        taps = self.taps if taps is None else taps
        steps = self.steps[: max((step_of(tap, self.steps) for tap in taps), default=len(self.steps) - 1) + 1]
        catch = _Catch(self.unet, taps, steps)
        with catch:
            for step in steps:
                if step.pops:
                    x = torch.cat([x, _repeat(skips.pop(), x.shape[0], frames)], dim=1)
                if step.op == "attn":
                    x = _repeat(x, tokens.shape[0], frames)
                if step.always or frames > 1:
                    catch.inside(step, rows=x.shape[0], frames=frames, size=x.shape[-2:])
                    x = self._run(step, x, temb, tokens, frames, skips[-1].shape[-2:] if force_size and skips else None)
                if step.pushes:
                    skips.append(x)
                for tap in taps:
                    if tap in (step.path, step.closes):
                        out[tap] = x
        out |= catch.caught
        return {tap: _per_clip(self._got(out, tap), frames, share * latents.shape[0]) for tap in taps}

    def _run(self, step: Step, x: Tensor, temb: Tensor, tokens: Tensor, frames: int, size: torch.Size | None) -> Tensor:
        module = self._calls[step.path] if step.path in self._calls else self.unet.get_submodule(step.path)
        match step.op:
            case "resnet":
                return module(x, temb.repeat_interleave(x.shape[0] // len(temb), dim=0))
            case "temp_conv":
                return module(x, num_frames=frames)
            case "temp_attn":
                return module(x, num_frames=frames, return_dict=False)[0]
            case "attn":
                return module(x, encoder_hidden_states=tokens, return_dict=False)[0]
            case "upsample":
                return module(x, size)
            case _:
                return module(x)

    def _got(self, out: dict[str, Tensor], tap: str) -> Tensor:
        if tap not in out:
            raise ConfigError(
                f"tap 'unet.{tap}' lies inside a temporal layer, which a clip of one frame skips; "
                "take clips of two frames or more, or tap the block around it"
            )
        return out[tap]


def _repeat(x: Tensor, rows: int, frames: int) -> Tensor:
    """Repeats each clip of `x` (clip frame) c h w until there are `rows` rows."""
    if x.shape[0] == rows:
        return x
    clips = x.unflatten(0, (-1, frames))
    return clips.repeat_interleave(rows // x.shape[0], dim=0).flatten(0, 1)


def _per_clip(x: Tensor, frames: int, clips: int) -> Tensor:
    return _repeat(x, clips * frames, frames).unflatten(0, (clips, frames))


class _Catch:
    """Forward hooks on the taps that lie inside a step, active within its `with` block."""

    def __init__(self, unet: nn.Module, taps: Sequence[str], steps: Sequence[Step]) -> None:
        ends = {name for step in steps for name in (step.path, step.closes)}
        self.modules = {tap: unet.get_submodule(tap) for tap in taps if tap not in ends}
        self.caught: dict[str, Tensor] = {}

    def __enter__(self) -> "_Catch":
        self.handles = [
            module.register_forward_hook(lambda _m, _i, output, tap=tap: self._keep(tap, output))
            for tap, module in self.modules.items()
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def inside(self, step: Step, *, rows: int, frames: int, size: torch.Size) -> None:
        """Says which step runs now, and over what, to read the shapes of what is caught in it."""
        self.temporal, self.rows, self.frames, self.size = step.op in TEMPORAL, rows, frames, size

    def _keep(self, tap: str, output: Any) -> None:
        value = output[0] if isinstance(output, tuple) else getattr(output, "sample", output)
        self.caught[tap] = as_frame_maps(
            value, tap, temporal=self.temporal, rows=self.rows, frames=self.frames, size=self.size
        )


def as_frame_maps(
    value: Tensor, tap: str, *, temporal: bool, rows: int, frames: int, size: Sequence[int]
) -> Float[Tensor, "rows C H W"]:
    """A module's output as one feature map per frame.

    Knows the layouts inside UNet3D: (clip frame) c h w; (clip frame) (h w) c in spatial
    transformers; clip c frame h w in temporal convolutions; (clip h w) frame c in temporal
    transformers. Raises `ConfigError` for anything else (such as keys of the text tokens).
    """
    height, width = size
    clips = rows // frames
    shape = tuple(value.shape)
    if temporal and value.ndim == 5 and shape[0] == clips and shape[2] == frames:
        return value.transpose(1, 2).flatten(0, 1)
    if temporal and value.ndim == 3 and shape[:2] == (clips * height * width, frames):
        return value.unflatten(0, (clips, height, width)).permute(0, 3, 4, 1, 2).flatten(0, 1)
    if value.ndim == 4 and shape[0] == rows:
        return value
    if not temporal and value.ndim == 3 and shape[:2] == (rows, height * width):
        return value.transpose(1, 2).unflatten(2, (height, width))
    raise ConfigError(
        f"tap 'unet.{tap}' yields shape {shape}, which is no map over {frames} frames and {height}x{width} places; "
        "tap the module around it"
    )
