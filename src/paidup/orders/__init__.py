"""Orders: what the shop wants paid once."""
