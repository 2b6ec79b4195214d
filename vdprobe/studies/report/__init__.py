"""A report of a study or an analysis: one file that can be sent."""
