"""The feature cache on disk."""
