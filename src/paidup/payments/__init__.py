"""Payments: offers to a customer through one channel account."""
