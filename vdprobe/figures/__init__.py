"""Pictures of features and tables."""
