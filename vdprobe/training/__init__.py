"""Training what lies upstream of the frozen model."""
