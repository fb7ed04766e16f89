"""Ctrl-C and SIGTERM at odd moments: one line, no traceback, nothing left running, and the next start works."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from paidup.db.embedded import start_embedded


@contextmanager
def started(folder: Path, *args: str, database: str = "") -> Iterator[subprocess.Popen[str]]:
    """A command in a session of its own, as a terminal gives it one. database: a server by URL."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")}
    env = clean | {"PAIDUP_DATA": str(folder), "PAIDUP_PORT": "0"}
    if database:
        env["PAIDUP_DATABASE_URL"] = database
    command = [sys.executable, "-m", "paidup", *args]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()  # a test that failed leaves nothing behind; one that passed has ended it already


LOOKS = 100
"""So often we look again for what still runs: a process that has closed its files needs a moment to be gone."""


def left(folder: Path, session: int) -> list[str]:
    """What still runs of that session, and every PostgreSQL server of the folder, however often one looks."""
    found: list[str] = []
    for _ in range(LOOKS):
        found = _running_in(session) + servers_of(folder)
        if not found:
            break
    return found


def _running_in(session: int) -> list[str]:
    """Pid, state and command of that session's processes. Who ended and is only not waited for (that is the init's
    work, and not every container has one) does not run."""
    listed = subprocess.run(["ps", "-A", "-o", "sid=,pid=,stat=,args="], check=True, capture_output=True, text=True)
    rows = [line.split(None, 1) for line in listed.stdout.splitlines()]
    return [row for sid, row in rows if int(sid) == session and not row.split()[1].startswith("Z")]


def servers_of(folder: Path) -> list[str]:
    """The PostgreSQL servers below it. One that starts or ends makes and removes folders while we look, which `os.walk`
    passes over and `Path.rglob` does not."""
    return [place for place, _, files in os.walk(folder) if "postmaster.pid" in files]


def until(process: subprocess.Popen[str], word: str) -> str:
    """Its words on stderr up to a line that holds this one."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if word in line:
            return said
    raise AssertionError(f"it ended before {word!r}: {said}")


def rest(process: subprocess.Popen[str]) -> list[str]:
    """What it says after it was told to end."""
    assert process.stderr is not None
    lines = process.stderr.read().strip().splitlines()
    process.wait()
    return lines


def test_a_demo_that_is_told_to_end_leaves_nothing_behind(reachable_dir: Path) -> None:
    """Ctrl-C at the terminal in the middle of the orders, and SIGTERM in the next demo in the same folder."""
    for tell, sig in ((os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)):
        with started(reachable_dir, "demo", "--once", "--orders", "2000", "--orders-per-s", "50") as demo:
            until(demo, "orders ")
            tell(demo.pid, sig)
            said = rest(demo)
        assert (130, []) == (demo.returncode, left(reachable_dir, demo.pid)), said
        assert ["paidup: told to end; nothing was left running"] == [line for line in said if "/2000" not in line]


def test_a_server_that_is_told_to_end_while_it_starts_ends_and_starts_again(reachable_dir: Path) -> None:
    """SIGTERM while its database is made for the first time; then it starts, and Ctrl-C ends it with 0."""
    with started(reachable_dir, "serve") as serve:
        while serve.poll() is None and not list(reachable_dir.iterdir()):
            pass  # it has not begun yet
        serve.send_signal(signal.SIGTERM)
        said = rest(serve)
    assert serve.returncode in (0, 130), said
    assert ([], False) == (left(reachable_dir, serve.pid), "Traceback" in "\n".join(said))
    with started(reachable_dir, "serve") as serve:
        until(serve, "paidup.listening")
        os.killpg(serve.pid, signal.SIGINT)
        said = rest(serve)
    assert (0, []) == (serve.returncode, left(reachable_dir, serve.pid)), said
    assert "Traceback" not in "\n".join(said)


async def test_a_server_whose_database_goes_away_says_so_in_lines_of_json(
    reachable_dir: Path,
) -> None:
    """Once for all its workers, but for statements that broke in the middle; and what libraries say is among them;
    no traceback stands between. It ends well."""
    async with await start_embedded(reachable_dir / "theirs") as database:
        with started(reachable_dir / "ours", "serve", database=database.dsn) as serve:
            said = until(serve, "paidup.listening")
            await database.stop()
            said += until(serve, "library.said") + until(serve, "library.said")
            serve.send_signal(signal.SIGTERM)
            lines = [json.loads(line) for line in (*said.splitlines(), *rest(serve))]
    assert 0 == serve.returncode
    events = Counter(line["event"] for line in lines)
    assert (1, 1) == (events["database.away"], events["paidup.stopped"])
    broke = Counter(line["job"] for line in lines if line["event"] == "round.failed")
    assert not broke or 1 == max(broke.values())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_embedded_database_that_ended_is_started_again(reachable_dir: Path, how: signal.Signals) -> None:
    """Told to end by somebody else, or killed: nobody has to restart the process that serves."""
    with started(reachable_dir, "serve") as serve:
        url = json.loads(until(serve, "paidup.listening").splitlines()[-1])["url"]
        (server,) = servers_of(reachable_dir)
        pid = int((Path(server) / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, how)
        restarted = json.loads(until(serve, "database.restarted").splitlines()[-1])
        with urlopen(f"{url}/readyz", timeout=30) as ready:
            assert 200 == ready.status
        serve.send_signal(signal.SIGTERM)
        said = rest(serve)
    assert pid != restarted["pid"]
    assert (0, []) == (serve.returncode, left(reachable_dir, serve.pid)), said


def test_seeds_that_are_interrupted_are_counted_so_far(reachable_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the terminal reaches every process that plays; each ends with the database that it has started."""
    monkeypatch.setenv("TMPDIR", str(reachable_dir))
    with started(reachable_dir, "simulate", "--seeds", "400", "--jobs", "2") as simulate:
        while simulate.poll() is None and not servers_of(reachable_dir):
            pass  # nobody plays yet
        os.killpg(simulate.pid, signal.SIGINT)
        said = rest(simulate)
    assert (130, []) == (simulate.returncode, left(reachable_dir, simulate.pid)), said
    assert ["interrupted: 0 of 400 seeds were played"] == said
