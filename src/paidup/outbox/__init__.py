"""The outbox: an event row is written with the change it announces."""
