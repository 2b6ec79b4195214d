"""What families of video diffusion transformers share: a temporal VAE, a text encoder, tapped blocks."""
