"""PostgreSQL: the one database."""
