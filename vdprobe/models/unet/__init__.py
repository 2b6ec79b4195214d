"""Families of video UNets behind an image VAE: what they share."""
