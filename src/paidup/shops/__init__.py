"""Shops and their API keys."""
