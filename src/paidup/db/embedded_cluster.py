"""Making a cluster (initdb) and writing its configuration."""

from collections.abc import Mapping
from pathlib import Path

from paidup.db.embedded_account import run_as
from paidup.db.embedded_binaries import Binaries
from paidup.db.embedded_site import Site, empty_folder, ensure_password, write_file
from paidup.errors import ConfigError

SUPERUSER = "paidup"
DEFAULT_PORT = 5432  # without TCP it is only part of the socket's name
_INITDB_TIMEOUT_S = 300

_SETTINGS = {
    # Money: what was committed is on the disk before anybody hears of it.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "password_encryption": "scram-sha-256",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    # Files of WAL that were written once are kept. After a quiet day the usual 80 MB would be left of them, and all
    # commits of a sale's first minutes would wait each time for 16 MB of zeros.
    "min_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "datestyle": "iso",
    "lc_messages": "C",
    # One file per weekday, so a week of logs and never more.
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_line_prefix": "%m [%p] %q%a ",
    "log_lock_waits": "on",
    "log_parameter_max_length": "0",  # parameters may be personal data
    "log_parameter_max_length_on_error": "0",
}


def cluster_major(site: Site) -> int | None:
    """The major version that wrote the cluster; None when there is no cluster yet."""
    try:
        return int((site.cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def initialise(site: Site, binaries: Binaries) -> None:
    """Make the cluster if there is none. Raises ConfigError when initdb fails."""
    if site.cluster.exists():
        return
    # Made aside and renamed, so that an initdb which was killed is never taken for a cluster.
    fresh = empty_folder(site, "cluster.new")
    outcome = run_as(site.account, _initdb(binaries, fresh, ensure_password(site)), _INITDB_TIMEOUT_S)
    if outcome.code != 0:
        raise ConfigError(f"initdb could not make a database in {fresh}: {outcome.said}")
    fresh.rename(site.cluster)


def configure(site: Site, tcp_port: int | None, options: Mapping[str, str]) -> None:
    """Write postgresql.conf. `options` come last and win; ``ALTER SYSTEM`` wins over all of it."""
    folder = str(site.socket).replace('"', '""')
    settings = {
        "unix_socket_directories": f'"{folder}"',
        "listen_addresses": "127.0.0.1" if tcp_port else "",
        "port": str(tcp_port or DEFAULT_PORT),
        "log_directory": str(site.log),
        **_SETTINGS,
        **options,
    }
    lines = [f"{name} = {_quoted(value)}\n" for name, value in settings.items()]
    heading = "# Written by Paidup at every start. To change a setting, log in and say ALTER SYSTEM SET.\n"
    write_file(site.conf, heading + "".join(lines), 0o600, site.account)


def _initdb(binaries: Binaries, cluster: Path, password_file: Path) -> list[str | Path]:
    return [
        binaries.program("initdb"), "--pgdata", cluster, "--username", SUPERUSER, "--pwfile", password_file,
        "--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--data-checksums", "--encoding=UTF8",
        # The built-in provider sorts the same on every machine, whatever the C library's version.
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions",
    ]  # fmt: skip


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
