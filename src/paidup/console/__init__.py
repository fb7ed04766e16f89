"""The operator's console: one search, the whole life of a payment, and a safe hand on it."""
