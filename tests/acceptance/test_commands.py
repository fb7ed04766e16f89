"""The commands that the README names, run as their users run them: as processes, against a database of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ("trace", "verify", "doctor", "callbacks", "payments", "repair", "deliveries", "tx", "cases", "keys", "db")


def paidup(*args: str, env: dict[str, str] | None = None, timeout_s: int = 300) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")}
    return subprocess.run(
        [sys.executable, "-m", "paidup", *args],
        check=False,
        env=clean | (env or {}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


@pytest.fixture
def env(db_dsn: str, tmp_path: Path) -> dict[str, str]:
    return {"PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path), "PAIDUP_PORT": "0"}


def test_the_demo_holds_while_a_worker_is_killed_and_the_database_crashes(reachable_dir: Path) -> None:
    """Three channels, lost and forged callbacks, SIGKILL and a crash: the verdict holds and the exit code says so."""
    ran = paidup("demo", "--once", "--orders", "120", "--orders-per-s", "60", env={"PAIDUP_DATA": str(reachable_dir)})
    assert (0, True) == (ran.returncode, "verdict     HOLDS" in ran.stdout), ran.stdout + ran.stderr
    assert "gets SIGKILL" in ran.stderr
    assert "the database has recovered" in ran.stderr
    assert "(healed)" in ran.stdout  # by a question, or, where the machine is busy, not before the evening's bill


@pytest.mark.parametrize("command", ["", *COMMANDS, "demo", "serve", "sandbox"])
def test_every_command_explains_itself(command: str) -> None:
    """--help of every command ends well and shows what it is for."""
    ran = paidup(*([command] if command else []), "--help")
    assert (0, True) == (ran.returncode, "Usage:" in ran.stdout), ran.stderr


def test_verify_prints_its_sums_as_json(env: dict[str, str]) -> None:
    """An empty database has no breach; the sums are numbers that a machine can read."""
    ran = paidup("verify", "--json", env=env)
    checks = json.loads(ran.stdout)["checks"]
    assert (0, [[]] * len(checks)) == (ran.returncode, [check["breaches"] for check in checks])
    assert 0 == checks[0]["sums"]["received"]


def test_an_unknown_id_is_said_to_be_unknown(env: dict[str, str]) -> None:
    """trace of a number that nobody knows exits with 1 and says where to look next."""
    ran = paidup("trace", "no-such-id", env=env)
    assert (1, "", True) == (ran.returncode, ran.stdout, "nothing is known by 'no-such-id'" in ran.stderr)


def test_a_misspelt_setting_names_the_right_one(env: dict[str, str]) -> None:
    """A setting that Paidup does not know ends the command, with one line and no traceback."""
    ran = paidup("verify", env=env | {"PAIDUP_QUERY_BUDGET": "3"})
    assert (2, True) == (ran.returncode, "did you mean PAIDUP_QUERY_BUDGET_PER_S?" in ran.stderr)
    assert "Traceback" not in ran.stderr


def test_doctor_refuses_a_database_that_may_forget(env: dict[str, str]) -> None:
    """The test server runs with fsync=off, which the doctor must not let pass."""
    if "PAIDUP_TEST_DATABASE_URL" in os.environ:
        pytest.skip("the given server decides about fsync, not this test")
    ran = paidup("doctor", "--json", env=env)
    refused = [finding["topic"] for finding in json.loads(ran.stdout) if finding["severity"] == "refuse"]
    assert (1, ["fsync"]) == (ran.returncode, refused)


def test_a_shop_and_its_key_are_made_and_revoked(env: dict[str, str]) -> None:
    """The key is printed once, alone on stdout; revoked it is listed as such."""
    assert 0 == paidup("db", "shop", "acme", "--late-payment", "refund", env=env).returncode
    made = paidup("keys", "create-api", "acme", env=env)
    assert made.stdout.startswith("pk_")
    (listed,) = json.loads(paidup("keys", "list-api", "acme", "--json", env=env).stdout)
    assert 0 == paidup("keys", "revoke-api", listed["id"], env=env).returncode
    (revoked,) = json.loads(paidup("keys", "list-api", "acme", "--json", env=env).stdout)
    assert (None, True) == (listed["revoked_at"], revoked["revoked_at"] is not None)


def test_serve_ends_cleanly_on_sigterm(env: dict[str, str]) -> None:
    """SIGTERM: what was begun is finished, and the process ends with 0."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")}
    command = [sys.executable, "-m", "paidup", "serve"]
    with subprocess.Popen(command, env=clean | env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert (0, True, True) == (process.returncode, "paidup.started" in first, "paidup.stopped" in rest), first + rest


def test_a_misspelt_command_names_the_right_one() -> None:
    """Who is tired reads what he meant."""
    ran = paidup("serv")
    assert (2, True) == (ran.returncode, "did you mean 'serve'?" in ran.stderr)


def test_what_was_done_can_be_read_by_a_machine(env: dict[str, str]) -> None:
    """Commands that change something print one JSON object with --json; a key that is not there is an error."""
    migrated = json.loads(paidup("db", "migrate", "--json", env=env).stdout)
    made = json.loads(paidup("db", "shop", "acme", "--json", env=env).stdout)
    key = json.loads(paidup("keys", "create-api", "acme", "--json", env=env).stdout)
    swept = json.loads(paidup("repair", "sweep", "--json", env=env).stdout)
    assert ([], "acme", ["read", "write", "refund"], 0) == (
        migrated["applied"], made["shop"], key["scopes"], swept["lacking"],
    )  # fmt: skip
    assert (2, True) == (
        (gone := paidup("keys", "revoke-api", "nobody", "--json", env=env)).returncode,
        "no live key" in gone.stderr,
    )


@pytest.mark.parametrize(
    ("wrong", "args", "says"),
    [
        pytest.param(  # it is waited for, for a minute
            {"PAIDUP_DATABASE_URL": "postgresql://127.0.0.1:1/x"},
            [],
            "Check that the server runs",
            marks=pytest.mark.fault,
        ),
        ({}, ["--port", "99999"], "99999 is not in the range"),
    ],
)
def test_serve_that_cannot_start_says_why(
    env: dict[str, str], wrong: dict[str, str], args: list[str], says: str
) -> None:
    """A database that is not there and a port that cannot be: one line that says what to do, no traceback."""
    ran = paidup("serve", *args, env=env | wrong)
    assert (True, False) == (says in ran.stderr, "Traceback" in ran.stderr), ran.stderr
    assert ran.returncode not in (0, 1)


def test_serve_without_its_database_says_why(env: dict[str, str]) -> None:
    """The server is there, the database is not: that will not mend itself, so nothing is waited for."""
    url = env["PAIDUP_DATABASE_URL"].replace("/paidup_test", "/no_such")
    ran = paidup("serve", env=env | {"PAIDUP_DATABASE_URL": url})
    assert (True, False) == ("Check that the server runs" in ran.stderr, "Traceback" in ran.stderr), ran.stderr
    assert ran.returncode not in (0, 1)


def test_serve_at_a_taken_port_says_so(env: dict[str, str]) -> None:
    """Somebody listens there: the exit code tells, and the line names the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = paidup("serve", env=env | {"PAIDUP_PORT": str(taken.getsockname()[1])})
    assert (True, True, False) == (
        ran.returncode != 0,
        "cannot listen on 127.0.0.1" in ran.stderr,
        "Traceback" in ran.stderr,
    ), ran.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["db", "shop", "Bad Name!"], "name it with a-z"),
        (["deliveries", "endpoint", "nobody", "https://shop.example.com/x"], "there is no shop 'nobody'"),
        (["deliveries", "redrive"], "name deliveries, or one --endpoint or --order"),
        (["deliveries", "endpoints", "--shop", "nobody"], "there is no shop 'nobody'"),
        (["deliveries", "dead", "ept1"], "there is no endpoint ept1; `paidup deliveries endpoints` lists them"),
        (["deliveries", "redrive", "--endpoint", "ept1"], "`paidup deliveries endpoints` lists them"),
        (["keys", "list-api", "nobody"], "there is no shop 'nobody'"),
        (["payments", "ask", "pay1"], "`paidup trace` finds it"),
        (["payments", "refund", "pay1", "--because", "a try", "--key", "1"], "`paidup trace` finds it"),
        (["orders", "close", "ord1", "--because", "a try"], "`paidup orders find` finds it"),
        (["cases", "resolve", "cas1", "--because", "a try"], "`paidup cases list` shows"),
        (["callbacks", "show", "cbk1"], "`paidup callbacks list`"),
        (
            ["callbacks", "quarantine", "--replay", "qua1"],
            "qua1: not in quarantine; `paidup callbacks quarantine --all`",
        ),
    ],
)
def test_a_wrong_name_is_refused_in_one_line(env: dict[str, str], args: list[str], says: str) -> None:
    """What the database would refuse is refused in words, with what to do instead."""
    ran = paidup(*args, env=env)
    assert (2, True, False) == (ran.returncode, says in ran.stderr, "Traceback" in ran.stderr), ran.stderr


def test_a_month_without_a_day_is_said_to_have_none(env: dict[str, str]) -> None:
    """Two empty lines told nothing; to a machine the same month is a report without days."""
    told, read = (paidup("report", "month", "--month", "2020-01", *form, env=env) for form in ([], ["--json"]))
    assert (0, True) == (told.returncode, "no day of these was reconciled" in told.stderr), told.stderr
    assert [] == json.loads(read.stdout)["days"]


def test_a_data_folder_that_cannot_be_made_is_named() -> None:
    """The embedded server has no place: the setting that names another one is told."""
    ran = paidup("doctor", env={"PAIDUP_DATA": "/proc/paidup"})
    assert (2, True) == (ran.returncode, "PAIDUP_DATA names another place" in ran.stderr), ran.stderr
