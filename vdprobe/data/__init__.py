"""Videos, expressions and clips: what is looked at."""
