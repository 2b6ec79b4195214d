"""The frozen dataclasses that name a computation."""
