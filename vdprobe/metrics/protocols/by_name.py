"""The protocols, by name."""

from vdprobe.errors import ConfigError, suggest
from vdprobe.metrics.protocols import (
    a2d,
    davis_semi,
    davis_unsup,
    jhmdb,
    mevis,
    refcoco,
    refdavis_referformer,
    refdavis_visa,
    ytvos,
)
from vdprobe.metrics.protocols.protocol import Protocol

PROTOCOLS = {
    module.PROTOCOL.name: module.PROTOCOL
    for module in (
        davis_semi,
        davis_unsup,
        refdavis_referformer,
        refdavis_visa,
        ytvos,
        mevis,
        a2d,
        jhmdb,
        refcoco,
    )
}


def find_protocol(name: str) -> Protocol:
    """The protocol of that name; raises `ConfigError` for another, naming the valid ones."""
    if name not in PROTOCOLS:
        raise ConfigError(f"there is no protocol '{name}'; {suggest(name, PROTOCOLS)}")
    return PROTOCOLS[name]
