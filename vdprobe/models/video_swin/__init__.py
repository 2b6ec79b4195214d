"""Video Swin by torchvision."""
