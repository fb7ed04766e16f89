"""The channel accounts, as they stand in a folder: ``<folder>/<channel>/<name>/account.toml`` and files beside it.

A key is rotated by changing the files: the folder is read again, and what cannot be read leaves everything as it was.
"""

import hashlib
import ipaddress
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from paidup.channels.channel import Account, AccountT, Channel
from paidup.channels.registry import CHANNELS
from paidup.errors import ConfigError, NotFound

MAX_FILE_BYTES = 64 << 10
MAX_FILES = 40
"""Per account. A WeChat account during a change of keys has some ten."""
MAX_ACCOUNTS = 1000

_TOML = "account.toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_PUBLIC_PEM = frozenset({b"CERTIFICATE", b"PUBLIC KEY", b"RSA PUBLIC KEY"})

Channels = Mapping[str, Channel[Any]]  # each channel has an account type of its own
_Key = tuple[str, str]
_Files = Mapping[_Key, Mapping[str, bytes]]
Parse = Callable[[str, Mapping[str, object], Mapping[str, bytes]], AccountT]  # as Channel.parse_account


class Accounts(msgspec.Struct, frozen=True):
    """All accounts as they stood when the folder was read. `fingerprint` is SHA-256 over the files, in hex."""

    by_name: Mapping[_Key, Account]
    fingerprint: str

    def get(self, channel: str, name: str) -> Account:
        """The account of this channel and name. Raises NotFound naming the accounts there are."""
        account = self.by_name.get((channel, name))
        if account is None:
            raise _no_account(channel, name, self.by_name)
        return account

    def of_shop(self, shop: str) -> tuple[Account, ...]:
        """The shop's accounts, by channel and name."""
        return tuple(account for _, account in sorted(self.by_name.items()) if account.shop == shop)

    def __repr__(self) -> str:
        return f"Accounts({', '.join('/'.join(key) for key in sorted(self.by_name))})"


def _no_account(channel: str, name: str, keys: Iterable[_Key]) -> NotFound:
    known = ", ".join(sorted("/".join(key) for key in keys)) or "none"
    return NotFound(f"no channel account {channel}/{name}; known are: {known[:300]}")


class AccountsFolder:
    """Holds the current accounts of a folder and reads it again when asked. Raises ConfigError when made."""

    def __init__(self, folder: Path, channels: Channels = CHANNELS) -> None:
        self._folder = folder
        self._channels = channels
        self.current = load_accounts(folder, channels)
        self.error: str | None = None
        """Why the folder as it stands cannot be used; None when `current` is what it says."""

    def refresh(self) -> bool:
        """Read the folder again: True when the accounts changed. A broken edit keeps the old ones and sets `error`."""
        try:
            if not changed_since(self._folder, self.current.fingerprint):
                self.error = None
                return False
            fresh = load_accounts(self._folder, self._channels)
        except ConfigError as error:
            self.error = str(error)
            return False
        self.current, self.error = fresh, None
        return True


def load_accounts(folder: Path, channels: Channels = CHANNELS) -> Accounts:
    """Read every account. A folder that does not exist has none. Raises ConfigError naming the file and the mend."""
    found = _read_folder(folder)
    accounts = {key: _parse(folder, key, files, channels) for key, files in found.items()}
    return Accounts(accounts, _fingerprint(found))


def load_account(folder: Path, channel: str, name: str, parse: Parse[AccountT]) -> AccountT:
    """Read one account alone, whatever is wrong with the others. Raises ConfigError, and NotFound."""
    where = _where(folder, channel, name)
    return _built(where, name, _read_account(where, folder.resolve()), parse)


def add_file(folder: Path, channel: str, name: str, file: str, data: bytes) -> None:
    """Put a file that everybody may read beside an account: whole or not at all, and never over another one.

    Raises ConfigError, and NotFound.
    """
    where = _where(folder, channel, name)
    if len(_listed(where, folder.resolve())) >= MAX_FILES:
        raise ConfigError(f"{where}: has {MAX_FILES} files already; move away what the account does not need")
    try:
        # Its name begins with a dot until it is whole: nobody reads it before.
        with tempfile.NamedTemporaryFile(dir=where, prefix=f".{file}.") as fresh:
            os.fchmod(fresh.fileno(), 0o644)  # made by another user's timer, it must not shut `serve` out
            fresh.write(data)
            fresh.flush()
            os.fsync(fresh.fileno())
            os.link(fresh.name, where / file)  # which, unlike a rename, replaces nothing
    except FileExistsError:
        if _read_file(where / file) != data:
            raise ConfigError(f"{where / file}: is there already, with other content; move it away") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot write {file} ({error.strerror}); this user must be able to") from None


def changed_since(folder: Path, fingerprint: str) -> bool:
    """Whether the files differ from those the fingerprint was made of. Raises ConfigError when they cannot be read."""
    return _fingerprint(_read_folder(folder)) != fingerprint


def _parse(folder: Path, key: _Key, files: Mapping[str, bytes], channels: Channels) -> Account:
    channel, name = key
    where = folder / channel / name
    if channel not in channels:
        raise ConfigError(f"{where}: there is no channel {channel!r}; known are {', '.join(sorted(channels))}")
    account: Account = _built(where, name, files, channels[channel].parse_account)
    return account


def _built(where: Path, name: str, files: Mapping[str, bytes], parse: Parse[AccountT]) -> AccountT:
    if _TOML not in files:
        raise ConfigError(f"{where}: has no {_TOML}; write one, or move the folder away")
    beside = {file: data for file, data in files.items() if file != _TOML}
    account = parse(name, _toml(where / _TOML, files[_TOML]), beside)
    _must_be_safe_to_send_to(where, account.base_url)
    return account


def _toml(path: Path, data: bytes) -> Mapping[str, object]:
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _must_be_safe_to_send_to(where: Path, base_url: str) -> None:
    """Keys and amounts go over the wire: only TLS, or this very machine (the sandbox). Raises ConfigError.

    A password in the address would stand in every line of the journal; and what two readers of an address might read
    in two ways, urlsplit here and the client there, is no address.
    """
    if re.search(r"[\x00-\x20\x7f\\@?#]", base_url):
        raise ConfigError(f"{where}: write base_url as https://host, without user, password, query, blank or backslash")
    try:
        parts = urlsplit(base_url)
        host = "" if parts.port == 0 else (parts.hostname or "").encode("idna").decode()
    except ValueError:  # a broken [address], a port beyond any, or a name that no resolver can be asked for
        host = ""
    if not host or parts.scheme not in (("http", "https") if _is_loopback(host) else ("https",)):
        raise ConfigError(f"{where}: base_url {base_url!r}: write an https:// address (http:// only for 127.0.0.1)")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_folder(folder: Path) -> _Files:
    """The files of every account. Names that begin with a dot are passed over (editors and mounts leave such)."""
    root = folder.resolve()
    keys = _keys(root)
    if len(keys) > MAX_ACCOUNTS:
        raise ConfigError(f"{folder}: more than {MAX_ACCOUNTS} accounts; run another shard")
    return {key: _read_account(root.joinpath(*key), root) for key in keys}


def _keys(root: Path) -> list[_Key]:
    return [(channel.name, name.name) for channel in _folders(root, root) for name in _folders(channel, root)]


def _where(folder: Path, channel: str, name: str) -> Path:
    """The account's own folder. Raises NotFound naming the accounts there are."""
    root = folder.resolve()
    keys = _keys(root)
    if (channel, name) not in keys:
        raise _no_account(channel, name, keys)
    return root / channel / name


def _folders(parent: Path, root: Path) -> Iterator[Path]:
    for path in _listed(parent, root):
        if not path.is_dir():
            continue  # a README beside the accounts does no harm
        if not _NAME.fullmatch(path.name):
            raise ConfigError(f"{path}: name it with a-z, 0-9, - and _ only, at most 40 characters")
        yield path


def _listed(parent: Path, root: Path) -> list[Path]:
    if not parent.exists():
        return []
    try:
        paths = sorted(path for path in parent.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"{parent}: {error.strerror}; it must be a folder that this user may read") from None
    for path in paths:
        if not Path(os.path.realpath(path)).is_relative_to(root):  # Path.resolve raises on a loop of links
            raise ConfigError(f"{path}: leads out of {root}; put the file itself there")
    return paths


def _read_account(where: Path, root: Path) -> Mapping[str, bytes]:
    paths = _listed(where, root)
    if len(paths) > MAX_FILES:
        raise ConfigError(f"{where}: more than {MAX_FILES} files; move away what the account does not need")
    return {path.name: _read_file(path) for path in paths}


def _read_file(path: Path) -> bytes:
    """The content of a plain file that others cannot read if it is secret. Raises ConfigError otherwise."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{path}: is not a plain file; move it away")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; it must be a file that this user may read") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes; that is no key")
    if mode & 0o077 and not _is_public(data):
        raise ConfigError(f"{path}: others on this machine can read this secret; run: chmod 600 {path}")
    return data


def _is_public(data: bytes) -> bool:
    """Certificates and public keys may be read by everybody; anything else beside an account counts as secret."""
    kinds = _PEM.findall(data)
    return bool(kinds) and set(kinds) <= _PUBLIC_PEM


def _fingerprint(found: _Files) -> str:
    digest = hashlib.sha256()
    for key, files in sorted(found.items()):
        for name, data in sorted(files.items()):
            digest.update("/".join((*key, name)).encode() + b"\0" + hashlib.sha256(data).digest())
        digest.update(b"\n")
    return digest.hexdigest()
