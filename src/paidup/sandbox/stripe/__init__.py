"""Stripe's API from its own side."""
