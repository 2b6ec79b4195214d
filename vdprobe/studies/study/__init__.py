"""A study: one YAML file, its steps, and one folder with all that they make."""
