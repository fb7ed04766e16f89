"""Transactions across services: order, payment, stock, coupons and points agree in the end, whatever dies meanwhile."""
