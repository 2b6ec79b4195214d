"""Networks as torch sees them: made without memory, filled with weights, normalised exactly."""
