"""Settings: one frozen value, read once from the environment and, when PAIDUP_CONFIG names one, a TOML file.

The file uses the same names in lower case without the prefix (``port = 8400``); the environment wins. A name that
Paidup does not know is an error that names the nearest one, because a misspelt limit is no limit.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from paidup.errors import ConfigError
from paidup.money import Money, major
from paidup.settings.table import PREFIX, SECRET, SETTINGS, Setting, env_name

MAX_CONFIG_BYTES = 256 << 10
_IGNORED = frozenset({"PAIDUP_TEST_DATABASE_URL"})  # read by the tests only


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment may decide. Names and meanings: `describe`."""

    database_url: str
    data: Path
    accounts: Path
    host: str
    port: int
    public_url: str
    shard: int
    clock: str
    callback_max_bytes: int
    inbox_queue: int
    quarantine_per_source: int
    query_budget_per_s: float
    call_deadline_s: float
    payment_ttl_s: int
    allow_loopback_endpoints: bool
    roles: tuple[str, ...]
    silent_channel_minutes: int
    second_person_above: tuple[tuple[str, int], ...]
    metrics_token: str
    traces: bool
    reconcile_rules: Path | None
    reconcile_memory_mb: int
    reconcile_spill: Path | None
    upload_max_mb: int
    app: str
    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret: str
    oidc_scopes: str
    oidc_claim: str
    oidc_role_claim: str
    oidc_roles: tuple[tuple[str, str], ...]
    oidc_label: str

    def __repr__(self) -> str:
        shown = ((name, "***" if name in SECRET and value else value) for name, value in self._pairs())
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown)})"

    __str__ = __repr__

    def _pairs(self) -> list[tuple[str, object]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__]


class Described(msgspec.Struct, frozen=True):
    """One setting as the reference shows it. `default` is the text one would write."""

    name: str
    kind: str
    default: str
    meaning: str
    secret: bool


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment (os.environ unless given). Raises ConfigError naming what to write."""
    given = os.environ if environ is None else environ
    ours = {name: value for name, value in given.items() if name.startswith(PREFIX) and name not in _IGNORED}
    config = ours.pop(f"{PREFIX}CONFIG", "")
    texts = {**(_from_file(Path(config)) if config else {}), **ours}
    for name in texts:
        _must_be_known(name)
    values = {setting.name: _value(setting, texts) for setting in SETTINGS}
    values["accounts"] = values["accounts"] or Path(str(values["data"])) / "accounts"
    values["reconcile_rules"] = values["reconcile_rules"] or Path(str(values["data"])) / "reconcile.toml"
    values["public_url"] = values["public_url"] or _own_url(str(values["host"]), str(values["port"]))
    return msgspec.convert(values, Settings)


def describe() -> tuple[Described, ...]:
    """Every setting, in the order in which the reference shows them."""
    file = Described(f"{PREFIX}CONFIG", "path", "", "a TOML file with settings; the environment wins over it", False)
    rows = (Described(env_name(s.name), s.kind, s.default, s.meaning, s.name in SECRET) for s in SETTINGS)
    return (*rows, file)


class Effective(msgspec.Struct, frozen=True):
    """A setting as it is in force. value: ``***`` for a secret; origin: environment, file, default, or command line."""

    name: str
    value: str
    origin: str
    meaning: str


def effective(settings: Settings, environ: Mapping[str, str] | None = None) -> list[Effective]:
    """What is in force, and where each value comes from."""
    given = os.environ if environ is None else environ
    config = given.get(f"{PREFIX}CONFIG", "")
    in_file = _from_file(Path(config)) if config else {}
    return [
        Effective(env_name(s.name), _shown(s, settings), _origin(s, settings, given, in_file), s.meaning)
        for s in SETTINGS
    ]


def _shown(setting: Setting, settings: Settings) -> str:
    value = getattr(settings, setting.name)
    if setting.name in SECRET and value:
        return "***"
    if isinstance(value, tuple):
        return ", ".join(one if isinstance(one, str) else f"{one[0]}={_right(*one)}" for one in value)
    return "" if value is None else str(value)


def _right(name: str, value: str | int) -> str:
    return value if isinstance(value, str) else major(Money(value, name))


def _origin(setting: Setting, settings: Settings, given: Mapping[str, str], in_file: Mapping[str, str]) -> str:
    name = env_name(setting.name)
    text = given.get(name, in_file.get(name, setting.default))
    try:
        as_written = setting.read(text.strip()) == getattr(settings, setting.name)
    except (ValueError, ConfigError):
        as_written = False
    if not as_written and text:
        return "command line"
    return "environment" if name in given else "file" if name in in_file else "default"


def _must_be_known(name: str) -> None:
    known = [row.name for row in describe()]
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else "; docs/reference/settings.md lists all names"
    raise ConfigError(f"unknown setting {name}{hint}")


def _value(setting: Setting, texts: Mapping[str, str]) -> object:
    name = env_name(setting.name)
    text = texts.get(name, setting.default).strip()
    try:
        return setting.read(text)
    except (ValueError, ConfigError) as wrong:
        shown = "***" if setting.name in SECRET else repr(text[:100])
        raise ConfigError(f"{name}={shown}: {wrong}") from None


def _from_file(path: Path) -> dict[str, str]:
    """The file's settings under their environment names. Raises ConfigError when it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
        table = tomllib.loads(data.decode()) if len(data) <= MAX_CONFIG_BYTES else None
    except OSError as error:
        raise ConfigError(f"{PREFIX}CONFIG={str(path)!r}: {error.strerror}; name a readable TOML file") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{path}: not TOML: {error}") from None
    if table is None:
        raise ConfigError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes; that is no settings file")
    return {env_name(name): _toml_text(path, name, value) for name, value in table.items()}


def _toml_text(path: Path, name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    raise ConfigError(f"{path}: {name}: write a text, a number, true, false, or a list of texts")


def _own_url(host: str, port: str) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  compared, not listened on
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
