"""The commands that the README names, run as their users run them: as processes, against a database of their own."""

import json
import os
import signal
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
    assert "by active query (healed)" in ran.stdout


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
