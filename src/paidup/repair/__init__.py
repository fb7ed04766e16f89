"""主动查单/补单: ask the channel about what should have been told to us."""
