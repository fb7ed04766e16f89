"""The shop's side, with nothing but the standard library: hears Paidup's webhooks, and ships each paid order once.

WEBHOOK_SECRET=whsec_… SHOP_DB=shop.db python examples/webhook_receiver.py     (http://127.0.0.1:8600/hooks/paidup)
"""

import base64
import hmac
import json
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8600
FRESH_S = 300
"""How far `webhook-timestamp` may be from our clock. Each attempt is signed anew, so a late one is no exception."""


class Untrusted(Exception):
    """This was not signed by Paidup, or not now: answer 401, and do nothing."""


def read(headers: Mapping[str, str], body: bytes, secret: str, now_s: float) -> dict[str, Any]:
    """The event in these raw bytes. `secret` is what `paidup deliveries endpoint` printed. Raises Untrusted."""
    message_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isascii() or not sent_at.isdigit() or abs(now_s - int(sent_at)) > FRESH_S:
        raise Untrusted("webhook-timestamp is missing or not of now")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{sent_at}.".encode() + body, "sha256")
    wanted = "v1," + base64.b64encode(digest).decode()
    given = headers.get("webhook-signature", "").split(" ")  # two while a secret is rotated
    if not any(hmac.compare_digest(wanted.encode(), one.encode()) for one in given):
        raise Untrusted("no webhook-signature is right for this body")
    event: dict[str, Any] = json.loads(body)
    return event


def apply(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """In one transaction: note the event's id, and do what it asks for. An event that was noted does nothing again."""
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS heard (event_id text PRIMARY KEY)")
        database.execute("CREATE TABLE IF NOT EXISTS shipments (order_no text PRIMARY KEY, amount_minor integer)")
        new = database.execute("INSERT OR IGNORE INTO heard VALUES (?)", (event["id"],)).rowcount
        if new and event["type"] == "order.paid":
            order = event["data"]
            # By the order's number, too: after a backup was restored an order may be told again under a new id.
            row = (order["shop_order_no"], order["amount_minor"])
            database.execute("INSERT OR IGNORE INTO shipments VALUES (?, ?)", row)


class Hooks(BaseHTTPRequestHandler):
    """One address for all events."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            event = read(
                {k.lower(): v for k, v in self.headers.items()}, body, os.environ["WEBHOOK_SECRET"], time.time()
            )
        except Untrusted as error:
            return self._answer(401, {"error": str(error)})
        with closing(sqlite3.connect(os.environ["SHOP_DB"])) as database:
            apply(database, event)
        return self._answer(200, {"applied": True})  # only now: after the commit

    def _answer(self, status: int, what: dict[str, Any]) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Hooks).serve_forever()
