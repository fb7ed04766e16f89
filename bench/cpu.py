"""CPU time and resident memory of processes and their children, from /proc (Linux)."""

import contextlib
import os
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_KIB = 1024

not_ours_s = 0.0
"""CPU seconds of servers that were started for a bench and are no children of it: PostgreSQL, which has ended."""


def busy_s() -> tuple[float, float]:
    """CPU seconds of the whole machine so far, and of this process with all that it started (and that has ended)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    ours = os.times()
    own_s = ours.user + ours.system + ours.children_user + ours.children_system
    return (sum(fields) - idle) / _TICKS_A_SECOND, own_s + not_ours_s


def family(pid: int) -> list[int]:
    """A process and its children that live now."""
    return [pid, *(child for child, parent in _parents().items() if parent == pid)]


def cpu_s(pids: list[int]) -> float:
    """CPU seconds that these used so far, with those of their children that have ended and were waited for."""
    return sum(_ticks(pid) for pid in pids) / _TICKS_A_SECOND


def family_cpu_s(pid: int) -> float:
    """CPU seconds of a process and of all children it ever had, such as a PostgreSQL server and its backends."""
    return cpu_s(family(pid))


def resident_mib(pids: list[int]) -> float:
    """Memory that these hold alone: resident, without what is shared (PostgreSQL's buffers would count in each)."""
    return sum(_private_kib(pid) for pid in pids) / _KIB


def _parents() -> dict[int, int]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that has just ended
            found[int(path.parent.name)] = int(_fields(path.read_text())[1])
    return found


def _ticks(pid: int) -> int:
    try:
        fields = _fields(Path(f"/proc/{pid}/stat").read_text())
    except OSError:  # it has ended; whoever waited for it has its time
        return 0
    return sum(int(field) for field in fields[11:15])


def _private_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def _fields(stat: str) -> list[str]:
    """What stands behind the command's name, which may hold blanks: state, parent …"""
    return stat.rpartition(")")[2].split()
