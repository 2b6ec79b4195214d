"""What the features of a video diffusion model are held against: raw pixels, models of single frames, Video Swin."""
