"""VD-IT's segmentation head: from features and words to one mask a frame."""
