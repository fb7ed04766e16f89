"""Where the embedded PostgreSQL lives on disk.

::

    <data folder>/postgres/    the home: ours, mode 0700; as root: root's, mode 0750, entered by the account's group
    ├── lock                   held by the process that owns the server
    ├── password               of the superuser, mode 0600
    ├── postgresql.conf        written anew at every start
    ├── cluster/               PostgreSQL's data
    ├── log/                   one file per weekday, and start.log
    └── socket/                or a link to a short private folder when this path is too long for a socket

As root the server runs as an unprivileged account. When that account cannot enter the data folder, the home lies below
/var/lib/paidup instead and ``<data folder>/postgres.location`` says where; no mode of anybody's folder is changed.
Root writes only into the home, never into a folder that the account could have filled with links.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from paidup.db.embedded_account import Account, can_enter, make_folder
from paidup.errors import ConfigError
from paidup.ids import new_secret

SYSTEM_STATE_DIR = Path("/var/lib/paidup")
MAX_SOCKET_PATH_BYTES = 103  # macOS; Linux allows 107
_LONGEST_SOCKET_NAME = ".s.PGSQL.65535"
_PRIVATE = 0o700


@dataclass(frozen=True)
class Site:
    """The home of one server, and the account it runs as (None: as ourselves)."""

    home: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def conf(self) -> Path:
        return self.home / "postgresql.conf"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def socket(self) -> Path:
        """The socket folder, short enough to hold a socket; `prepare_socket` has made it."""
        return (self.home / "socket").resolve()

    @property
    def password(self) -> str:
        """The superuser's password. Raises ConfigError when its file is gone."""
        try:
            return (self.home / "password").read_text().strip()
        except FileNotFoundError:
            raise ConfigError(
                f"{self.home / 'password'} is gone, and without it nobody can log in to the database beside it: "
                "put it back from your backup"
            ) from None


def find_site(data_dir: Path, account: Account | None, state_dir: Path = SYSTEM_STATE_DIR) -> Site:
    """The home that belongs to a data folder, made if need be.

    Raises ConfigError when the data belongs to somebody else or is not where the data folder says.
    """
    data_dir = data_dir.absolute()
    try:
        _make_data_dir(data_dir, account)
        data_dir = data_dir.resolve()
        home = _choose_home(data_dir, account, state_dir)
        site = _make_home(home, account)
        _refuse_foreign(site)
        make_folder(site.log, _PRIVATE, account)
    except PermissionError as failure:
        raise ConfigError(
            f"no permission for {failure.filename}: start Paidup as the user who owns {data_dir}, "
            "or choose another data folder"
        ) from None
    return site


def prepare_socket(site: Site) -> None:
    """Make the socket folder: inside the home, or a private one with a short name that the home links to."""
    folder = site.home / "socket"
    if not folder.is_symlink() and _fits(folder):
        make_folder(folder, _PRIVATE, site.account)
        return
    if folder.is_symlink():
        if _is_private(folder.resolve(), site.account):
            return
        folder.unlink()  # a reboot emptied the folder for temporary files, and somebody else may have taken the name
    short = Path(tempfile.mkdtemp(prefix="paidup-", dir=_runtime_dir(site.account)))
    if not _fits(short):
        short.rmdir()
        raise ConfigError(f"the path {short} is too long for a socket; set TMPDIR to a folder with a short name")
    if site.account:
        os.chown(short, site.account.uid, site.account.gid)
    folder.symlink_to(short)


def ensure_password(site: Site) -> Path:
    """The file with the superuser's password, generated the first time."""
    path = site.home / "password"
    if not path.exists():
        write_file(path, new_secret().hex() + "\n", 0o600, site.account)
    return path


def write_file(path: Path, text: str, mode: int, owner: Account | None = None) -> None:
    """Replace a file in one step, so that nobody ever reads half of it; it is durable before it has its name."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        if owner:
            os.fchown(file.fileno(), owner.uid, owner.gid)
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)


def empty_folder(site: Site, name: str) -> Path:
    """A fresh private folder of the account's in the home; what an interrupted start left there is removed."""
    folder = site.home / name
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder, _PRIVATE, site.account)
    return folder


def _make_home(home: Path, account: Account | None) -> Site:
    if account:
        make_folder(home, 0o750, Account("root", 0, account.gid))
    else:
        make_folder(home, _PRIVATE)
    return Site(home, account)


def _make_data_dir(data_dir: Path, account: Account | None) -> None:
    try:
        data_dir.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make the folder {data_dir.parent}: {error.strerror}; PAIDUP_DATA names another place"
        ) from None
    make_folder(data_dir, 0o711 if account else _PRIVATE)


def _choose_home(data_dir: Path, account: Account | None, state_dir: Path) -> Path:
    pointer = data_dir / "postgres.location"
    if pointer.exists():
        return _follow(pointer, account, state_dir)
    home = data_dir / "postgres"
    if account is None or home.exists() or can_enter(account, data_dir):
        return home
    elsewhere = state_dir / "postgres" / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    make_folder(state_dir, 0o755)
    make_folder(elsewhere.parent, 0o755)
    _make_home(elsewhere, account)
    write_file(pointer, f"{elsewhere}\n", 0o644)
    sys.stderr.write(
        f"paidup: the account {account.name!r}, which PostgreSQL runs as, may not enter {data_dir}; "
        f"the data is in {elsewhere} (noted in {pointer})\n"
    )
    return elsewhere


def _follow(pointer: Path, account: Account | None, state_dir: Path) -> Path:
    home = Path(pointer.read_text().strip())
    if account is None:
        raise ConfigError(f"root keeps this database in {home}: start Paidup as root, or choose another data folder")
    if home.parent != state_dir / "postgres" or not home.is_dir():
        # An empty new database in its place would look as if no order had ever been paid.
        raise ConfigError(
            f"{pointer} says that the data is in {home}, and it is not there: bring it back, "
            f"or delete {pointer} to begin with an empty database"
        )
    return home


def _refuse_foreign(site: Site) -> None:
    runs_as = site.account.uid if site.account else os.geteuid()
    owners = [(site.home, os.geteuid()), (site.cluster, runs_as)]
    for folder, expected in owners:
        # lstat: a link would lead root into a folder of somebody else's choice.
        if os.path.lexists(folder) and folder.lstat().st_uid != expected:
            raise ConfigError(
                f"{folder} belongs to user {folder.lstat().st_uid}, not to user {expected}: "
                "start Paidup as the user who started it first, or choose another data folder"
            )


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / _LONGEST_SOCKET_NAME)) <= MAX_SOCKET_PATH_BYTES


def _is_private(folder: Path, account: Account | None) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    owner = account.uid if account else os.geteuid()
    return status.st_uid == owner and status.st_mode & 0o777 == _PRIVATE and _fits(folder)


def _runtime_dir(account: Account | None) -> str:
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    return own if account is None and own and os.access(own, os.W_OK | os.X_OK) else tempfile.gettempdir()
