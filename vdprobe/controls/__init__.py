"""What the features of a video diffusion model are held against: raw pixels, and models of single frames."""
