"""The journal: every weighing of evidence and every call to a channel."""
