"""Raw pixels as features."""
