"""Who PostgreSQL runs as: ourselves, or an unprivileged account when we are root (it refuses to run as root)."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paidup.errors import ConfigError

ACCOUNT_NAME = "paidup"


@dataclass(frozen=True)
class Account:
    """A system account that is not root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Outcome:
    """How a program ended; `said` is what it printed on both streams."""

    code: int
    said: str


def unprivileged_account() -> Account | None:
    """The account to run PostgreSQL as, made if need be; None when we are not root and run it as ourselves.

    Raises ConfigError when there is no such account and none can be made.
    """
    if os.geteuid() != 0:
        return None
    account = _find(ACCOUNT_NAME) or _make(ACCOUNT_NAME)
    if account.uid == 0:
        raise ConfigError(f"the account {ACCOUNT_NAME!r} is root under another name; give it a uid of its own")
    return account


def run_as(account: Account | None, args: Sequence[str | Path], timeout_s: float = 60.0) -> Outcome:
    """Run a program as the account and wait for it.

    It gets a bare environment, so that no PGDATA or PGPORT of the caller's and none of our secrets reach it, and
    starts in ``/``, which every account may enter. A server that it leaves running must have its output elsewhere, or
    we would wait for that, too. Raises ConfigError when it cannot be started or does not end.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the programs are ours, and no shell reads the arguments
            [str(arg) for arg in args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_bare_environment(),
            cwd="/",
            umask=0o077,
            timeout=timeout_s,
            check=False,
            process_group=0,  # Ctrl-C at the terminal is for us: we end what it does in our own order
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{args[0]} did not end within {timeout_s:.0f} s; see whether the machine is stuck") from None
    except OSError as failure:
        raise ConfigError(f"cannot run {args[0]} as {account.name if account else 'ourselves'}: {failure}") from None
    return Outcome(done.returncode, done.stdout.decode(errors="replace").strip())


def can_enter(account: Account, folder: Path) -> bool:
    """Whether the account may go into the folder: asked of the system, which knows of ACLs and mounts."""
    return run_as(account, ["/bin/sh", "-c", 'test -d "$1" && test -x "$1"', "sh", folder]).code == 0


def make_folder(folder: Path, mode: int, account: Account | None = None) -> None:
    """Make a folder of this mode, owned by the account. One that exists is left as it is, whatever its mode."""
    if folder.is_dir():
        return
    # Made aside and renamed, so that another process never finds it without its owner and mode.
    try:
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise _cannot_make(folder, error) from None
    try:
        if account:
            os.chown(aside, account.uid, account.gid)
        aside.chmod(mode)
        aside.rename(folder)
    except OSError as error:
        aside.rmdir()
        if not folder.is_dir():  # otherwise another process was quicker, which is as good
            raise _cannot_make(folder, error) from None


def _cannot_make(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot make the folder {folder}: {error.strerror}; PAIDUP_DATA names another place")


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make(name: str) -> Account:
    said = []
    for args in _ways_to_make(name):
        said.append(run_as(None, args).said)
        account = _find(name)
        if account:
            return account
    raise ConfigError(
        f"PostgreSQL does not run as root, and the account {name!r} could not be made "
        f"({'; '.join(said) or 'neither useradd nor adduser is here'}). "
        f"Make it (useradd --system {name}), or start Paidup as an ordinary user"
    )


def _ways_to_make(name: str) -> list[list[str | Path]]:
    ways: list[list[str | Path]] = []
    if tool := shutil.which("useradd"):  # shadow, on most distributions
        ways.append(
            [tool, "--system", "--user-group", "--no-create-home", "-d", "/nonexistent", "-s", "/bin/false", name]
        )
    if tool := shutil.which("adduser"):  # busybox, on Alpine; its options are not those of Debian's adduser
        ways.append([tool, "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/bin/false", name])
    return ways


def _bare_environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **passed_on, "LC_ALL": "C", "TZ": "UTC"}
