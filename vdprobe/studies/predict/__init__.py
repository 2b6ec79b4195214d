"""Masks of a trained or imported head for any videos: features, masks, the files that benchmarks take."""
