"""Who looks at a page, and how they want to see it: language, theme, time zone."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from babel.core import UnknownLocaleError, negotiate_locale
from starlette.requests import Request

from paidup.people.user import Right, User

LANGUAGES = {"en": "English", "zh": "中文"}
THEMES = ("auto", "light", "dark")
_LOCALES = {"en": "en_GB", "zh": "zh_Hans_CN"}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


@dataclass(frozen=True)
class Visitor:
    """One request's reader. token: the session's; empty for somebody who has not signed in. base: where the console
    is mounted, such as ``/console``. let_in_by: the other user by whose link they came in."""

    base: str
    language: str
    theme: str
    zone: ZoneInfo
    source: str
    token: str = ""
    user: User | None = None
    let_in_by: str = ""

    @property
    def locale(self) -> str:
        """Babel's name of the language."""
        return _LOCALES[self.language]

    def may(self, right: str) -> bool:
        """Whether to show what needs this right."""
        return self.user is not None and self.user.may(Right(right))


def visitor_of(request: Request, token: str = "", user: User | None = None, let_in_by: str = "") -> Visitor:
    """The reader of this request."""
    cookies = request.cookies
    return Visitor(
        base=request.scope.get("root_path", ""),
        language=_language(cookies.get("paidup_language", ""), request.headers.get("accept-language", "")),
        theme=cookies["paidup_theme"] if cookies.get("paidup_theme") in THEMES else "auto",
        zone=_zone(cookies.get("paidup_zone", "")),
        source=request.client.host if request.client and request.client.host.isprintable() else "unknown",
        token=token,
        user=user,
        let_in_by=let_in_by,
    )


def is_loopback(request: Request) -> bool:
    """Whether the browser reached us on this very machine without TLS: there, cookies cannot be marked secure."""
    return request.url.scheme == "http" and (request.url.hostname or "") in _LOOPBACK


def _language(chosen: str, accepted: str) -> str:
    if chosen in LANGUAGES:
        return chosen
    wanted = [part.partition(";")[0].strip().replace("-", "_") for part in accepted[:200].split(",")]
    try:
        found = negotiate_locale([w.partition("_")[0] for w in wanted], list(LANGUAGES), sep="_")
    except (ValueError, UnknownLocaleError):
        found = None
    return found or "en"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name.replace("%2F", "/")[:60] or "UTC")
    except (ValueError, KeyError, OSError):  # a name that is none, or leads out of the folder of zones
        return ZoneInfo("UTC")
