"""Group normalisation that any clip goes through, however small."""

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """Group normalisation also of one value a group, which leaves the bias, whatever the value.

    It happens where the deepest level is 1x1 and has as many channels as groups. torch computes it for two rows or
    more and refuses it for one, as useless to train: a clip of one frame would fail with one expression and go
    through with two. Here a single row has the values that it has beside others.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps, torch.backends.cudnn.enabled)
