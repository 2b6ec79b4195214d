"""A network of diffusers, made from a configuration."""

from collections.abc import Mapping
from typing import Any

import diffusers
from torch import nn

from vdprobe.models.networks.empty_networks import explained


def from_config(network_class: str, config: Mapping[str, Any], what: str) -> nn.Module:
    """The network, with values wherever the caller has them made.

    Raises `ModelError` for a configuration that it cannot be made from.
    """
    with explained(what):
        network: nn.Module = getattr(diffusers, network_class).from_config(dict(config))
        return network
