"""How good masks are, and how sure a mean over videos is."""
