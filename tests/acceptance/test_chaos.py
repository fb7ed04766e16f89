"""A chaos run in small, and a chaos run that is broken off: what was started is ended, by whoever started it."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from chaos.balancer import Silence
from chaos.plan import CHANNELS, PHASES, ROLES, blows
from chaos.report import kinds
from chaos.trouble import Fault

ROOT = Path(__file__).parents[2]


async def chaos(folder: Path, *args: str) -> asyncio.subprocess.Process:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chaos", *args, cwd=ROOT, env=env | {"TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def processes_of(folder: Path) -> list[str]:
    """The command lines that mention this folder."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = line.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(folder) in words:
            found.append(words)
    return found


def mounts_in(folder: Path) -> list[str]:
    mounts = Path("/proc/mounts")
    return [line for line in mounts.read_text().splitlines() if str(folder) in line] if mounts.exists() else []


@pytest.mark.fault
async def test_nothing_is_lost_in_any_phase(reachable_dir: Path) -> None:
    """Kills, a broken database, rolling restarts and a lost primary: the money is counted, and nothing is missing."""
    process = await chaos(reachable_dir, "--minutes", "0.35", "--speed", "30", "--json")
    said, complained = await process.communicate()
    assert (0, True) == (process.returncode, said.startswith(b"{")), complained.decode()
    report: dict[str, Any] = json.loads(said)
    assert [*PHASES] == [phase["name"] for phase in report["phases"]]
    assert [[]] * len(PHASES) == [phase["breaches"] for phase in report["phases"]]
    last = report["phases"][-1]["proof"]
    assert [last["paid_at_channel"]] * 2 == [last["paid_here"], last["told_to_shop"]]
    assert [0] * 5 == [last[name] for name in ("lost", "untold", "doubled", "invented", "acknowledged_and_missing")]
    assert last["paid_at_channel"] > 50
    assert {"web killed", "database killed -9", "web replaced", "primary lost, standby promoted"} <= {
        kind["kind"] for kind in report["faults"] if kind["survived"] == kind["of"]
    }
    assert ([], []) == (processes_of(reachable_dir), mounts_in(reachable_dir))


async def test_what_was_started_is_ended_on_ctrl_c(reachable_dir: Path) -> None:
    """SIGINT in the middle of a phase: exit code 130, no process, no mount and no file is left."""
    process = await chaos(reachable_dir, "--phases", "database")
    assert process.stderr is not None
    while b"phase database" not in (line := await process.stderr.readline()):
        assert line, "it ended before it began"
    before = len(processes_of(reachable_dir))
    process.send_signal(signal.SIGINT)
    await process.communicate()
    left = (processes_of(reachable_dir), mounts_in(reachable_dir), list(reachable_dir.iterdir()))
    assert (130, ([], [], [])) == (process.returncode, left)
    assert before > 0


def test_the_seed_decides_who_is_hit() -> None:
    """The same seed strikes the same blows at the same moments; every role is killed and frozen at least once."""
    struck = blows(7, 20)
    assert (struck, True) == (blows(7, 20), struck != blows(8, 20))
    wanted = {(kind, role) for role in ROLES for kind in ("killed", "frozen")} | {("frozen", CHANNELS)}
    assert wanted == {(blow.kind, blow.role) for blow in struck}
    assert all(0 <= blow.at_s <= 20 for blow in struck)


def test_silence_lasts_from_a_question_to_an_answer() -> None:
    """Time in which nobody asks is no silence; a refusal does not end one."""
    silence = Silence()
    silence.asked(10)
    silence.ended(11, answered=False)
    silence.asked(12)
    silence.ended(13, answered=True)
    silence.asked(50)
    silence.ended(51, answered=True)
    assert 3 == silence.longest_s


@pytest.mark.parametrize(("healed", "expected"), [([1.0, 4.0], (2, 2, 4.0)), ([1.0, None], (1, 2, None))])
def test_one_fault_that_does_not_heal_spoils_its_kind(
    healed: list[float | None], expected: tuple[int, int, float | None]
) -> None:
    """The worst time to heal is that of all faults of the kind, and there is none when one did not heal."""
    (kind,) = kinds([Fault("web killed", seconds) for seconds in healed])
    assert expected == (kind.survived, kind.of, kind.worst_healed_s)
