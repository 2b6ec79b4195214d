"""The frozen models: every family of video diffusion models, and the controls that they are compared with."""
