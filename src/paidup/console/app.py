"""The console, made from its table of pages."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from paidup.console import (
    admin,
    bills,
    callbacks,
    cases,
    hand,
    home,
    life,
    reconcile,
    reports,
    search,
    sign_in,
    sso,
    stock,
    watched,
)
from paidup.console.gate import Handler, Reading, behind, plain, with_file
from paidup.console.pages import HEADERS, STATIC
from paidup.console.trouble import handlers
from paidup.people.user import Right
from paidup.web.context import Context


class Page(NamedTuple):
    """One page, or one thing that a form does. right None: open to everybody."""

    method: str
    path: str
    handler: Handler
    right: Right | None
    reading: Reading = plain


PAGES: tuple[Page, ...] = (
    Page("GET", "/", home.show, Right.LOOK),
    Page("GET", "/sign-in", sign_in.show, None),
    Page("POST", "/sign-in", sign_in.do, None),
    Page("GET", "/sign-in/oidc", sso.leave, None),
    Page("GET", "/sign-in/oidc/back", sso.back, None),
    Page("GET", "/link", sign_in.link, None),
    Page("POST", "/link", sign_in.use_link, None),
    Page("POST", "/prefer", sign_in.prefer, None),
    Page("POST", "/sign-out", sign_in.out, Right.LOOK),
    Page("GET", "/account", sign_in.account, Right.LOOK),
    Page("POST", "/account/password", sign_in.set_password, Right.LOOK),
    Page("POST", "/account/totp", sign_in.set_totp, Right.LOOK),
    Page("GET", "/search", search.show, Right.LOOK),
    Page("GET", "/watched", watched.show, Right.LOOK),
    Page("GET", "/orders/{order_id}", life.show, Right.LOOK),
    Page("GET", "/orders/{order_id}/close", hand.close_page, Right.WORK),
    Page("POST", "/orders/{order_id}/close", hand.close, Right.WORK),
    Page("GET", "/orders/{order_id}/resend", hand.resend_page, Right.WORK),
    Page("POST", "/orders/{order_id}/resend", hand.resend, Right.WORK),
    Page("GET", "/payments/{payment_id}/query", hand.query_page, Right.WORK),
    Page("POST", "/payments/{payment_id}/query", hand.query, Right.WORK),
    Page("GET", "/payments/{payment_id}/confirm", hand.confirm_page, Right.MONEY),
    Page("POST", "/payments/{payment_id}/confirm", hand.confirm, Right.MONEY),
    Page("GET", "/payments/{payment_id}/refund", hand.refund_page, Right.MONEY),
    Page("POST", "/payments/{payment_id}/refund", hand.refund, Right.MONEY),
    Page("GET", "/payments/{payment_id}/release", hand.release_page, Right.MONEY),
    Page("POST", "/payments/{payment_id}/release", hand.release, Right.MONEY),
    Page("GET", "/orders/{order_id}/{kind}/{id}", life.detail, Right.LOOK),
    Page("POST", "/orders/{order_id}/{kind}/{id}", life.reveal, Right.REVEAL),
    Page("GET", "/cases", cases.worklist, Right.LOOK),
    Page("GET", "/cases/{case_id}", cases.case, Right.LOOK),
    Page("POST", "/cases/{case_id}", cases.work, Right.WORK),
    Page("GET", "/approvals", cases.waiting, Right.LOOK),
    Page("GET", "/approvals/{approval_id}", cases.approval, Right.LOOK),
    Page("POST", "/approvals/{approval_id}", cases.decide, Right.REVEAL),
    Page("GET", "/callbacks", callbacks.received, Right.LOOK),
    Page("GET", "/callbacks/quarantine", callbacks.quarantined, Right.LOOK),
    Page("GET", "/callbacks/quarantine/{quarantine_id}", callbacks.refused, Right.LOOK),
    Page("GET", "/callbacks/quarantine/{quarantine_id}/replay", callbacks.replay_refused_page, Right.WORK),
    Page("POST", "/callbacks/quarantine/{quarantine_id}/replay", callbacks.replay_refused, Right.WORK),
    Page("GET", "/callbacks/{callback_id}", callbacks.callback, Right.LOOK),
    Page("GET", "/callbacks/{callback_id}/replay", callbacks.replay_page, Right.WORK),
    Page("POST", "/callbacks/{callback_id}/replay", callbacks.replay, Right.WORK),
    Page("GET", "/deliveries", callbacks.told, Right.LOOK),
    Page("POST", "/deliveries", callbacks.redrive, Right.WORK),
    Page("GET", "/reconcile", reconcile.days, Right.LOOK),
    Page("GET", "/reconcile/bills", bills.show, Right.LOOK),
    Page("POST", "/reconcile/bills", bills.take, Right.MONEY, with_file),
    Page("GET", "/reconcile/bills/{bill_id}/file", bills.file, Right.MONEY),
    Page("GET", "/reconcile/{break_id}", reconcile.one, Right.LOOK),
    Page("POST", "/reconcile/{break_id}", reconcile.decide, Right.REVEAL),
    Page("GET", "/reconcile/months/{month}", reports.month, Right.LOOK),
    Page("GET", "/reconcile/months/{month}/report.{form}", reports.month_file, Right.LOOK),
    Page("GET", "/reconcile/{channel}/{account}/{day}", reports.day, Right.LOOK),
    Page("GET", "/reconcile/{channel}/{account}/{day}/report.{form}", reports.day_file, Right.LOOK),
    Page("GET", "/stock", stock.show, Right.LOOK),
    Page("GET", "/channels", admin.channels, Right.LOOK),
    Page("POST", "/channels/{channel}/{account}/check", admin.check_channel, Right.WORK),
    Page("GET", "/audit", admin.journal, Right.LOOK),
    Page("GET", "/settings", admin.settings, Right.LOOK),
    Page("GET", "/users", admin.users, Right.USERS),
    Page("POST", "/users", admin.change_user, Right.USERS),
)


class _Files(StaticFiles):
    """Files whose address changes with their content: browsers keep them for good."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """As Starlette does it, with our headers."""
        response = super().file_response(*args, **kwargs)
        response.headers.update({**HEADERS, "cache-control": "public, max-age=31536000, immutable"})
        return response


def build_console(context: Context) -> Starlette:
    """The console as an ASGI application, to be mounted at /console."""
    found: Mapping[Any, Any] = handlers(context.clock)
    routes = [Route(p.path, behind(context, p.right, p.handler, p.reading), methods=[p.method]) for p in PAGES]
    return Starlette(routes=[*routes, Mount("/static", _Files(directory=STATIC))], exception_handlers=dict(found))
