"""An order with all that belongs to it, as the door locks, reads and writes it."""
