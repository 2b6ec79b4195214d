"""Vision models of the transformers library, frame by frame."""
