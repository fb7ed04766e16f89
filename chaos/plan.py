"""What a chaos run does and when: all of it follows from the seed, except for what the machine's timing adds."""

import random
from pathlib import Path

import msgspec

PHASES = ("kills", "database", "rolling", "standby")
SHARES = {"kills": 0.35, "database": 0.25, "rolling": 0.15, "standby": 0.25}
"""How the time under load is divided; a phase that is left out gives its time to the others."""

ROLES = ("web", "intake", "repair", "delivery")
CHANNELS = "channels"
"""The sandbox: it is only frozen, because its memory is the truth that everything is compared with."""

DISK_FULL, EVERYTHING = "disk full", "everything killed -9"
DATABASE_BLOWS = (
    "database restarted",
    "database killed -9",
    "database frozen",
    "connections cut",
    DISK_FULL,
    EVERYTHING,
)
_EVERY_S = 6.0
_LONGEST_S = 4.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. minutes: under load, in all phases together; waiting for quiet comes on top of it."""

    folder: Path
    minutes: float = 3.0
    seed: int = 1
    orders_per_s: float = 12.0
    speed: float = 15.0
    phases: tuple[str, ...] = PHASES

    def seconds(self, phase: str) -> float:
        """How long this phase is under load."""
        return self.minutes * 60 * SHARES[phase] / sum(SHARES[name] for name in self.phases)


class Blow(msgspec.Struct, frozen=True):
    """One fault: from `at_s` into the phase on, for `lasts_s`. kind: killed or frozen."""

    at_s: float
    kind: str
    role: str
    lasts_s: float


def blows(seed: int, seconds: float) -> list[Blow]:
    """Kills and freezes at random moments: each role at least once of each, and more when there is time."""
    dice = random.Random(f"{seed}/kills")
    wanted = [(kind, role) for role in ROLES for kind in ("killed", "frozen")] + [("frozen", CHANNELS)]
    wanted += [dice.choice(wanted) for _ in range(int(seconds / _EVERY_S) - len(wanted))]
    longest_s = min(_LONGEST_S, seconds / 6)
    struck = [
        Blow(dice.uniform(0, 0.8 * seconds), kind, role, dice.uniform(longest_s / 4, longest_s))
        for kind, role in wanted
    ]
    return sorted(struck, key=lambda blow: blow.at_s)


def database_blows(seed: int) -> list[str]:
    """The faults of the database, in an order that the seed decides."""
    kinds = list(DATABASE_BLOWS)
    random.Random(f"{seed}/database").shuffle(kinds)
    return kinds


def pause_s(seed: int, what: str, longest_s: float) -> float:
    """How long to wait before this, so that it comes at a random moment."""
    return random.Random(f"{seed}/{what}").uniform(0.1, 1) * longest_s
