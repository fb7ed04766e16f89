"""Figures for Prometheus: what the business does, read from the database, and how this one process fares.

Every process tells the same business figures, because all of them are read from PostgreSQL; take one of them (``max``).
Each process tells its own ``paidup_process_…`` figures; add those up (``sum``).
"""
