"""Intake: verify, make durable, acknowledge; then hand over to the door."""
