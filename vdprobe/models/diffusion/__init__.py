"""The frozen backbone: conditions, noise, adapter, and a tapped forward."""
