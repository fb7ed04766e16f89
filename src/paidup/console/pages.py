"""Pages: Jinja2 templates with autoescape on; whatever a channel, a shop or a customer wrote shows as text."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import RedirectResponse, Response

from paidup.console.show import Show
from paidup.console.visitor import LANGUAGES, Visitor
from paidup.people.sessions import csrf_of

HERE = Path(__file__).parent
STATIC = HERE / "static"
HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

MENU = (
    ("", "Home"),
    ("/cases", "Cases"),
    ("/approvals", "Approvals"),
    ("/callbacks", "Callbacks"),
    ("/deliveries", "Deliveries"),
    ("/reconcile", "Reconcile"),
    ("/stock", "Stock"),
    ("/channels", "Channels"),
    ("/audit", "Audit"),
    ("/settings", "Settings"),
    ("/users", "Users"),
)

SHOWERS = ("t", "deed", "world", "moved", "said", "money", "signed", "number", "at", "dated", "full", "iso", "ago")
"""What templates show values with."""


def page(
    visitor: Visitor, now: datetime, template: str, values: Mapping[str, object] | None = None, status: int = 200
) -> Response:
    """A page for this reader."""
    text = _ENVIRONMENT.get_template(template).render(_words(visitor, now) | dict(values or {}))
    return Response(text, status, HEADERS, "text/html; charset=utf-8")


def go(visitor: Visitor, path: str) -> Response:
    """On to another page of the console; a reload does not repeat what was done."""
    return RedirectResponse(visitor.base + path, 303, HEADERS)


def _words(visitor: Visitor, now: datetime) -> dict[str, object]:
    show = Show(visitor, now)
    return {
        "visitor": visitor,
        "base": visitor.base,
        "languages": LANGUAGES,
        "menu": MENU,
        "csrf": csrf_of(visitor.token) if visitor.token else "",
        "asset": lambda name: f"{visitor.base}/static/{name}?v={_version(name)}",
        "now": now,
        "show": show,
        **{name: getattr(show, name) for name in SHOWERS},
        "channel_name": show.channel,
    }


@cache
def _version(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
