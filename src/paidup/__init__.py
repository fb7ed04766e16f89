"""Every payment reaches its order exactly once."""

__version__ = "0.1.0"
