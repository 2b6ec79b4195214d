"""Group normalisation that is exact in every memory layout, and that any clip goes through, however small.

On a CPU torch takes the variance of a tensor in `channels_last` as the mean square less the square of the mean, in
float32: where a group's mean is large beside its deviation (frames that are flat, dark or padded) nothing is left of
it. Other layouts are summed with care. Shape letters: C channels, H W height and width, P places.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional

VALUES_AT_ONCE = 2**17
"""Values whose moments are taken together: half a MiB, which stays in a core's cache between their two passes."""


class GroupNorm(nn.GroupNorm):
    """Group normalisation with the values of float64 rounded, also of one value a group, which leaves the bias.

    One value a group happens where the deepest level is 1x1 and has as many channels as groups. torch computes it for
    two rows or more and refuses it for one, as useless to train: a clip of one frame would fail with one expression
    and go through with two. Here a single row has the values that it has beside others.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, in its memory layout on a CPU where nothing is to be learned through it."""
        if input.device.type != "cpu":
            return self._by_torch(input)
        if input.is_contiguous() or not input.is_contiguous(memory_format=torch.channels_last) or _learns(self, input):
            # Without height and width, by which torch may take a picture of one place for `channels_last`.
            return self._by_torch(input.reshape(*input.shape[:2], -1)).view(input.shape)
        frames = [self._channels_last(frame) for frame in input.split(1)]
        return frames[0] if len(frames) == 1 else torch.cat(frames)

    def _by_torch(self, input: Tensor) -> Tensor:
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps, torch.backends.cudnn.enabled)

    def _channels_last(self, frame: Float[Tensor, "1 C H W"]) -> Float[Tensor, "1 C H W"]:
        """Each channel by the moments of its group: what a batch normalisation does with the moments that it kept."""
        mean, variance = channel_moments(frame[0].permute(1, 2, 0).flatten(0, 1))
        means = mean.unflatten(0, (self.num_groups, -1))
        centre = means.mean(1, keepdim=True)
        spread = (variance.view_as(means) + (means - centre).square()).mean(1, keepdim=True)
        # Also of a frame in half precision torch takes these in float32.
        dtype = torch.promote_types(frame.dtype, torch.float32)
        centre, spread = (value.expand_as(means).flatten().to(dtype) for value in (centre, spread))
        weight, bias = (None if value is None else value.to(dtype) for value in (self.weight, self.bias))
        return functional.batch_norm(frame, centre, spread, weight, bias, eps=self.eps)


def use_exact_group_norm(module: nn.Module) -> None:
    """Puts `GroupNorm` in the place of torch's throughout a network."""
    for part in module.modules():
        if type(part) is nn.GroupNorm:
            part.__class__ = GroupNorm


def channel_moments(rows: Float[Tensor, "P C"]) -> tuple[Float64[Tensor, " C"], Float64[Tensor, " C"]]:
    """Mean and variance of each channel: by two passes over some places at a time, which are joined in float64."""
    means, variances, shares = [], [], []
    for some in rows.split(max(1, VALUES_AT_ONCE // rows.shape[1])):
        values = some.to(torch.promote_types(some.dtype, torch.float32))
        mean = values.mean(0)
        means.append(mean)
        variances.append((values - mean).square_().mean(0))
        shares.append(len(some) / len(rows))
    share = torch.tensor(shares, dtype=torch.float64)[:, None]
    mean_of, variance_of = torch.stack(means).double(), torch.stack(variances).double()
    mean = (share * mean_of).sum(0)
    return mean, (share * (variance_of + (mean_of - mean).square())).sum(0)


def _learns(layer: nn.GroupNorm, input: Tensor) -> bool:
    return torch.is_grad_enabled() and any(
        value is not None and value.requires_grad for value in (input, layer.weight, layer.bias)
    )
