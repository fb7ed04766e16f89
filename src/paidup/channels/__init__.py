"""Foreign dialects: one folder per payment channel."""
