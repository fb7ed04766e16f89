"""Settings: one frozen value, read once; mistakes are named with their mend."""

import re
from pathlib import Path

import msgspec
import pytest

from paidup.errors import ConfigError
from paidup.people.user import Role
from paidup.settings import Effective, Settings, describe, effective, load
from paidup.written import PEOPLE, ROLES


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing needs to be set to try Paidup."""
    settings = load({"HOME": "/root", "PATH": "/bin"})
    assert settings == Settings(
        database_url="",
        data=Path(".paidup"),
        accounts=Path(".paidup/accounts"),
        host="127.0.0.1",
        port=8400,
        public_url="http://127.0.0.1:8400",
        shard=0,
        clock="system",
        callback_max_bytes=65536,
        inbox_queue=4096,
        quarantine_per_source=100,
        query_budget_per_s=20.0,
        call_deadline_s=8.0,
        payment_ttl_s=7200,
        allow_loopback_endpoints=False,
        roles=ROLES,
        silent_channel_minutes=10,
        second_person_above=(
            ("CNY", 100_000),
            ("USD", 15_000),
            ("EUR", 15_000),
            ("GBP", 13_000),
            ("HKD", 100_000),
            ("JPY", 20_000),
        ),
        metrics_token="",
        traces=False,
        reconcile_rules=Path(".paidup/reconcile.toml"),
        reconcile_memory_mb=512,
        reconcile_spill=None,
        upload_max_mb=256,
        app="",
        oidc_issuer="",
        oidc_client_id="",
        oidc_client_secret="",
        oidc_scopes="openid email profile",
        oidc_claim="email",
        oidc_role_claim="groups",
        oidc_roles=(),
        oidc_label="",
    )


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("PAIDUP_PORT", "0", "port", 0),
        ("PAIDUP_DATABASE_URL", "postgresql://u:p@h/n", "database_url", "postgresql://u:p@h/n"),
        ("PAIDUP_DATA", "/srv/paidup", "accounts", Path("/srv/paidup/accounts")),
        ("PAIDUP_ACCOUNTS", "/etc/paidup", "accounts", Path("/etc/paidup")),
        ("PAIDUP_PUBLIC_URL", "https://pay.example.com/in/", "public_url", "https://pay.example.com/in"),
        ("PAIDUP_HOST", "0.0.0.0", "public_url", "http://127.0.0.1:8400"),
        ("PAIDUP_HOST", "::1", "public_url", "http://[::1]:8400"),
        ("PAIDUP_QUERY_BUDGET_PER_S", "0.5", "query_budget_per_s", 0.5),
        ("PAIDUP_ALLOW_LOOPBACK_ENDPOINTS", "true", "allow_loopback_endpoints", True),
        ("PAIDUP_ROLES", "repair, web", "roles", ("web", "repair")),
        ("PAIDUP_TRACES", "true", "traces", True),
        ("PAIDUP_METRICS_TOKEN", "0123456789abcdef", "metrics_token", "0123456789abcdef"),
        ("PAIDUP_CLOCK", "2026-11-23T08:00:00+00:00*20", "clock", "2026-11-23T08:00:00+00:00*20"),
    ],
)
def test_each_setting_is_read_into_its_field(name: str, text: str, field: str, value: object) -> None:
    """What is written in the environment stands in the value, in the type that is used."""
    assert getattr(load({name: text}), field) == value


NO_ADDRESSES = (
    "https://[x",
    "https://[:::1]",
    "https://pay.example.com:99999",
    "https://pay.example.com:0",
    "https://pay.example.com:",
    "https://pay.example.com:abc",
    "https://pay .example.com",
    "https://pay.example.com/a b",
    "https://me:secret@pay.example.com",
    "https://pay.example.com#a",
    "https://-",
    "https://",
    "https://payé.example.com",
    f"https://pay.example.com/{'a' * 255}"[:256],
)


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("PAIDUP_PORT", "80x", "a whole number from 0 to 65535"),
        ("PAIDUP_PORT", "70000", "a whole number from 0 to 65535"),
        ("PAIDUP_SHARD", "1024", "a whole number from 0 to 1023"),
        ("PAIDUP_CALLBACK_MAX_BYTES", "10", "a whole number from 1024"),
        ("PAIDUP_CALL_DEADLINE_S", "nan", "a number from 0.1 to 120"),
        ("PAIDUP_QUERY_BUDGET_PER_S", "0", "a number from 0.01"),
        ("PAIDUP_PAYMENT_TTL_S", "5", "a whole number from 60"),
        ("PAIDUP_ALLOW_LOOPBACK_ENDPOINTS", "yes", "write true or false"),
        ("PAIDUP_PUBLIC_URL", "pay.example.com", "https://pay.example.com"),
        ("PAIDUP_PUBLIC_URL", "https://pay.example.com/?a=1", "https://pay.example.com"),
        *(("PAIDUP_PUBLIC_URL", text, "such as https://pay.example.com") for text in NO_ADDRESSES),
        *(("PAIDUP_OIDC_ISSUER", text, "such as https://login.example.com") for text in NO_ADDRESSES),
        ("PAIDUP_OIDC_ISSUER", "http://login.example.com", "such as https://login.example.com"),
        ("PAIDUP_OIDC_ROLES", "staff=owner", "roles are viewer, operator, finance, approver, admin"),
        ("PAIDUP_OIDC_ROLES", "=finance", "such as paidup-finance=finance"),
        ("PAIDUP_SECOND_PERSON_ABOVE", "CNY=1,CNY=2", "write CNY once"),
        ("PAIDUP_CLOCK", "fast", "write 'system' or"),
        ("PAIDUP_ROLES", "web,cooking", "write all, or some of web, intake"),
        ("PAIDUP_HOST", "a b", "a host name or address"),
        ("PAIDUP_DATA", "", "the path of a folder"),
        ("PAIDUP_INBOX_QUEUE", "-1", "a whole number from 1"),
    ],
)
def test_a_wrong_value_names_the_setting_and_what_to_write(name: str, text: str, advice: str) -> None:
    """The message holds the name, the value, and what would do."""
    with pytest.raises(ConfigError, match=re.escape(advice)) as wrong:
        load({name: text})
    assert str(wrong.value).startswith(f"{name}={text[:100]!r}: ")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("mysql://h/n", "postgresql://user"),
        ("postgresql://u:hush@h:99999/n", "postgresql://user"),
        ("postgresql://u:hush@h:0/n", "postgresql://user"),
        ("postgresql://u:hush@a:5432,b:x/n", "postgresql://user"),
        ("postgresql://u:hush@[x/n", "postgresql://user"),
        ("postgresql://u:hu/sh@h/n", "%2F"),
        ("postgresql://u:hu#sh@h/n", "%23"),
        ("postgresql://u:hush@h/n?port=70000", "a port from 1 to 65535"),
        ("postgresql://u:hush@h/n?sslmode=on", "sslmode is one of disable"),
    ],
)
def test_a_wrong_database_url_is_told_without_it(text: str, advice: str) -> None:
    """What to write instead, and nothing of a password."""
    with pytest.raises(ConfigError, match=re.escape(advice)) as wrong:
        load({"PAIDUP_DATABASE_URL": text})
    assert str(wrong.value).startswith("PAIDUP_DATABASE_URL=***: ")


@pytest.mark.parametrize(
    "text",
    [
        "postgres://h",
        "postgresql://",
        "postgresql://u:p%2F%40@[::1]:5432/n?sslmode=verify-full",
        "postgresql://u:p@a:5432,b:5433/n?target_session_attrs=read-write",
        "postgresql://u:p@/n?host=%2Frun%2Fpostgresql&port=5432",
        "postgresql:///n?host=a,b&port=5432,5433",
    ],
)
def test_every_form_of_a_database_url_is_taken(text: str) -> None:
    """One host or several, an IPv6 address, a socket."""
    assert text == load({"PAIDUP_DATABASE_URL": text}).database_url


def test_the_roles_of_people_are_those_that_settings_name() -> None:
    """Settings are read by everybody, and know the names alone."""
    assert tuple(Role) == PEOPLE


@pytest.mark.parametrize(
    ("name", "nearest"), [("PAIDUP_PROT", "PAIDUP_PORT"), ("PAIDUP_DATABASE", "PAIDUP_DATABASE_URL")]
)
def test_an_unknown_name_is_refused_and_the_nearest_one_named(name: str, nearest: str) -> None:
    """A misspelt limit would be no limit."""
    with pytest.raises(ConfigError, match=f"unknown setting {name}; did you mean {nearest}"):
        load({name: "1"})


def test_the_name_that_only_tests_read_is_allowed() -> None:
    """A developer's shell may hold it while serving."""
    assert load({"PAIDUP_TEST_DATABASE_URL": "postgresql://x"}).database_url == ""


def test_the_database_password_is_shown_to_nobody() -> None:
    """Not in the repr, not in str, and not in the message about a wrong value."""
    url = "postgresql://u:hunter2@h/n"
    settings = load({"PAIDUP_DATABASE_URL": url})
    with pytest.raises(ConfigError) as wrong:
        load({"PAIDUP_DATABASE_URL": url.replace("postgresql", "mysql")})
    shown = f"{settings!r} {settings} {wrong.value}"
    assert ("hunter2" in shown, "database_url='***'" in shown, settings.database_url) == (False, True, url)


def test_a_toml_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    """The file holds what seldom changes."""
    config = tmp_path / "paidup.toml"
    config.write_text('port = 9000\nshard = 3\nroles = ["web", "repair"]\nallow_loopback_endpoints = true\n')
    settings = load({"PAIDUP_CONFIG": str(config), "PAIDUP_PORT": "9001"})
    assert (settings.port, settings.shard, settings.roles) == (9001, 3, ("web", "repair"))
    assert settings.allow_loopback_endpoints is True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prot = 1", "unknown setting PAIDUP_PROT; did you mean PAIDUP_PORT"),
        ("port = ", "not TOML"),
        ("[port]\na = 1", "port: write a text"),
        ("#" * 300_000, "larger than"),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(tmp_path: Path, content: str, message: str) -> None:
    """The same rules as for the environment."""
    config = tmp_path / "paidup.toml"
    config.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load({"PAIDUP_CONFIG": str(config)})


def test_a_missing_file_is_refused() -> None:
    """Who names a file wants it read."""
    with pytest.raises(ConfigError, match=r"PAIDUP_CONFIG='/nowhere\.toml': No such file"):
        load({"PAIDUP_CONFIG": "/nowhere.toml"})


def test_everything_that_can_be_set_is_described() -> None:
    """The reference is made from this: every field once, each with a meaning, and the file itself."""
    rows = describe()
    fields = [row.name.removeprefix("PAIDUP_").lower() for row in rows]
    assert fields == [*Settings.__struct_fields__, "config"]
    assert [row.name for row in rows if not row.meaning or not row.kind] == []
    assert [row.name for row in rows if row.secret] == [
        "PAIDUP_DATABASE_URL",
        "PAIDUP_METRICS_TOKEN",
        "PAIDUP_OIDC_CLIENT_SECRET",
    ]


def test_the_described_defaults_are_the_real_ones() -> None:
    """Writing every default by hand gives the same value as writing nothing."""
    written = {row.name: row.default for row in describe() if row.default}
    assert load(written) == load({})


def test_limits_are_written_in_major_units_and_shown_so() -> None:
    """CNY 1000.50 is 100050 fen; what is no amount is refused with an example."""
    settings = load({"PAIDUP_SECOND_PERSON_ABOVE": "CNY=1000.50, JPY=300"})
    assert (("CNY", 100_050), ("JPY", 300)) == settings.second_person_above
    shown = {row.name: row for row in effective(settings, {"PAIDUP_SECOND_PERSON_ABOVE": "CNY=1000.50, JPY=300"})}
    assert ("CNY=1000.50, JPY=300", "environment") == _two(shown["PAIDUP_SECOND_PERSON_ABOVE"])
    with pytest.raises(ConfigError, match="CNY=1000"):
        load({"PAIDUP_SECOND_PERSON_ABOVE": "CNY"})


def test_what_is_in_force_says_where_it_comes_from() -> None:
    """Environment, default, or an option of the command line; a secret is three stars."""
    environ = {"PAIDUP_DATABASE_URL": "postgresql://u:hidden@h/d", "PAIDUP_PORT": "1234"}
    settings = msgspec.structs.replace(load(environ), host="0.0.0.0")
    rows = {row.name: _two(row) for row in effective(settings, environ)}
    assert ("***", "environment") == rows["PAIDUP_DATABASE_URL"]
    assert ("1234", "environment") == rows["PAIDUP_PORT"]
    assert ("0.0.0.0", "command line") == rows["PAIDUP_HOST"]
    assert ("7200", "default") == rows["PAIDUP_PAYMENT_TTL_S"]


def _two(row: Effective) -> tuple[str, str]:
    return row.value, row.origin
