"""Inventory: what a shop can still promise, and the journal that proves it."""
