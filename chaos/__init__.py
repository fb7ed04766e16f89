"""Real processes, real faults, and a proof after each phase: `python -m chaos`."""
