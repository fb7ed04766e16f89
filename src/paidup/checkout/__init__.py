"""Checkout: from an order to an offer that the customer can pay."""
