"""Analyses as a user runs them: extract what is missing, measure every sample, tell and draw what was found."""
