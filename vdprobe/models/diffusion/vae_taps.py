"""The taps of VAEs, which depend on the frames alone."""

from collections.abc import Iterable

LATENTS = "vae.latents"
"""The mean of the VAE's posterior as the denoiser gets it, whatever is drawn for the denoiser."""


def split_taps(taps: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(VAE taps, denoiser taps)."""
    taps = tuple(taps)
    vae = tuple(tap for tap in taps if tap.startswith("vae."))
    return vae, tuple(tap for tap in taps if not tap.startswith("vae."))
