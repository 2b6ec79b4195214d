"""What features hold, asked without training anything."""
