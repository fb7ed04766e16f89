"""Every setting there is, in the order in which the reference shows them: name, kind, default, reader and meaning."""

from collections.abc import Callable
from typing import NamedTuple

from paidup import written
from paidup.ids import MAX_SHARD
from paidup.written import ROLES

PREFIX = "PAIDUP_"


class Setting(NamedTuple):
    """One setting: what its text means, and how it is read."""

    name: str  # of the field in Settings
    kind: str
    default: str
    read: Callable[[str], object]  # raises ValueError with what to write instead
    meaning: str


def env_name(field: str) -> str:
    """The name under which the environment has a field of Settings."""
    return PREFIX + field.upper()


SECRET = frozenset({"database_url", "metrics_token", "oidc_client_secret"})
"""Fields whose values are never shown."""

SETTINGS = (
    Setting("database_url", "URL", "", written.database_url, "the PostgreSQL database; empty starts an embedded one"),
    Setting(
        "data", "path", "./.paidup", written.folder, "the folder of the embedded database and of generated secrets"
    ),
    Setting(
        "accounts", "path", "", written.folder_or_none, "the folder of channel accounts; empty means <data>/accounts"
    ),
    Setting("host", "host", "127.0.0.1", written.host, "the address to listen on"),
    Setting("port", "integer", "8400", written.whole(0, 65535), "the port to listen on; 0 takes a free one"),
    Setting("public_url", "URL", "", written.public_url, "where channels reach us; empty means http://<host>:<port>"),
    Setting("shard", "integer", "0", written.whole(0, MAX_SHARD), "the shard that new ids carry"),
    Setting("clock", "clock", "system", written.clock, "system, or <ISO time>*<rate> for demonstrations"),
    Setting(
        "callback_max_bytes", "integer", "65536", written.whole(1024, 1 << 24), "longer callbacks are refused with 413"
    ),
    Setting(
        "inbox_queue",
        "integer",
        "4096",
        written.whole(1, 1_000_000),
        "callbacks that may wait for their commit; more are answered 503",
    ),
    Setting(
        "quarantine_per_source",
        "integer",
        "100",
        written.whole(0, 1_000_000),
        "refused callbacks kept per source address and hour",
    ),
    Setting(
        "query_budget_per_s", "number", "20", written.number(0.01, 10_000), "queries to channels per second and account"
    ),
    Setting(
        "call_deadline_s", "seconds", "8", written.number(0.1, 120), "how long one call to a channel may take in all"
    ),
    Setting("payment_ttl_s", "seconds", "7200", written.whole(60, 30 * 86400), "how long a payment may be paid"),
    Setting(
        "allow_loopback_endpoints",
        "true/false",
        "false",
        written.yes_no,
        "whether events may be delivered to this machine itself, over http, too; for trying",
    ),
    Setting("roles", "list", "all", written.roles, f"what this process does: all, or some of {', '.join(ROLES)}"),
    Setting(
        "silent_channel_minutes",
        "minutes",
        "10",
        written.whole(1, 1440),
        "how long a channel may send no callback while queries find paid payments, before it is reported",
    ),
    Setting(
        "second_person_above",
        "amounts",
        "CNY=1000,USD=150,EUR=150,GBP=130,HKD=1000,JPY=20000",
        written.limits,
        "up to which amount one person confirms, refunds or releases alone; a currency not named takes two always",
    ),
    Setting("metrics_token", "text", "", written.token, "the bearer token that opens /metrics; empty: it stays closed"),
    Setting("traces", "true/false", "false", written.yes_no, "send OpenTelemetry traces; needs the extra paidup[otel]"),
    Setting(
        "reconcile_rules",
        "path",
        "",
        written.folder_or_none,
        "the TOML file of agreed fees, tolerances and repair limits; empty means <data>/reconcile.toml",
    ),
    Setting(
        "reconcile_memory_mb",
        "megabytes",
        "512",
        written.whole(64, 1 << 20),
        "what matching a bill may hold in memory; beyond that it writes to the spill folder",
    ),
    Setting(
        "reconcile_spill",
        "path",
        "",
        written.folder_or_none,
        "the folder for a bill while it is uploaded or matched; empty means the system's temporary folder",
    ),
    Setting(
        "upload_max_mb",
        "megabytes",
        "256",
        written.whole(1, 2048),
        "larger bills are not taken over the API and console",
    ),
    Setting(
        "app",
        "name",
        "",
        written.app,
        "the Paidup object of the application that embeds it, as module:attribute: commands run its handlers",
    ),
    Setting(
        "oidc_issuer",
        "URL",
        "",
        written.issuer,
        "the OpenID Connect provider that people sign in to the console with; empty: none; needs paidup[oidc]",
    ),
    Setting("oidc_client_id", "text", "", written.words, "our name at that provider"),
    Setting("oidc_client_secret", "text", "", written.words, "our secret at that provider"),
    Setting("oidc_scopes", "text", "openid email profile", written.words, "what we ask that provider for"),
    Setting("oidc_claim", "text", "email", written.words, "the claim that holds a person's name here"),
    Setting("oidc_role_claim", "text", "groups", written.words, "the claim that holds a person's groups there"),
    Setting(
        "oidc_roles",
        "list",
        "",
        written.group_roles,
        "group=role, with commas between: people of these groups are added when they first sign in, and the first that "
        "fits is their role; empty: only users who are here already sign in, as what they are here",
    ),
    Setting("oidc_label", "text", "", written.words, "what the sign-in button calls that provider"),
)
