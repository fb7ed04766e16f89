"""What a demo run is made of; everything can be set from the command line."""

from pathlib import Path

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Probabilities lie between 0 and 1; speed is how much faster than real time the clocks run."""

    folder: Path
    orders: int = 2000
    orders_per_s: float = 150
    hot_units: int = 400
    """Units of the hot item; every third order wants one of them."""
    seed: int = 1
    speed: float = 15
    lose: float = 0.30
    repeat: float = 0.20
    delay: float = 0.10
    reorder: float = 0.05
    forge: float = 0.05
    corrupt: float = 0.02
    probe: float = 0.02
    slow: float = 0.01
    hang: float = 0.0
    drop: float = 0.01
    fail: float = 0.01
    refund_fail: float = 0.0
    once: bool = False
    kill: bool = True
    """Kill a worker with SIGKILL, and crash the database, in the middle."""
    as_json: bool = False
    """Speak the verdict to a machine."""
