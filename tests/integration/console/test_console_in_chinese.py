"""Every kind of page in Chinese, filled with things that happened: no English sentence is left on it."""

import html
import re

from test_console_hand import TXN, an_old_open_payment

from api_side import Api
from break_side import AGREE_FIRST, a_break
from console_side import Browser, signed_in
from paidup.people.user import Role

SENTENCE = re.compile(r"\b[a-z]{2,}(?: [a-z]{2,}){2,}\b")
"""Three words of English in a row."""
ALLOWED = frozenset(
    {
        "two green teas",
        "seen in the console",  # what a shop or a person wrote
        "paidup reconcile breaks",
        "openid email profile",  # a command, a setting's value
    }
)
HIDDEN = re.compile(r"(?s)<(script|style|code|pre|head)\b.*?</\1>|<[^>]*>")
SPOKEN = re.compile(r'(?:title|alt|placeholder|aria-label)="([^"]*)"')
"""What a page says without showing it."""


async def left_over(browser: Browser, path: str) -> list[str]:
    page = await browser.get(path)
    assert page.status in (200, 404), (path, page.status)
    return sentences(page.text)


def sentences(page: str) -> list[str]:
    shown = html.unescape("\n".join([HIDDEN.sub("\n", page), *SPOKEN.findall(page)]))
    return sorted(set(SENTENCE.findall(shown)) - ALLOWED)


async def test_no_page_speaks_english_to_who_reads_chinese(api: Api) -> None:
    """With a paid, an unpaid, a held and a closed order, a break, a case, an approval and a quarantine."""
    paid = await api.a_paid_payment("Z-1")
    unpaid = await an_old_open_payment(api, "Z-2")
    closed = await an_old_open_payment(api, "Z-3")
    broken = await a_break(api, "Z-4")
    async with signed_in(api, "carol", Role.ADMIN) as carol:
        await carol.post("/prefer", {"language": "zh"})
        held = await an_old_open_payment(api, "Z-5")
        less = {"step": "do", "txn": TXN, "amount": "9.00", "why": "少付", "key": "k1"}
        asked = (await carol.post(f"/payments/{held['id']}/confirm", less)).location.removeprefix("/console")
        await carol.post(f"/payments/{unpaid['id']}/query", {})
        await carol.post(f"/orders/{closed['order_id']}/close", {"why": "客户取消"})
        await carol.post(f"/payments/{paid['id']}/refund", {"step": "do", "amount": "1", "why": "凉了", "key": "k2"})
        await carol.post(f"/reconcile/{broken.break_id}", AGREE_FIRST)
        checked = await carol.post("/channels/wechat/main/check", {})
        async with api.session.post(f"{api.url}/callbacks/wechat/main", data=b"forged") as answer:
            assert answer.status in (400, 401)
        await api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/hear"})
        await api.call("PUT", "/v1/skus/TEA-250", {"name": "绿茶"})
        async with api.paidup.db.session() as tx:
            refused = await tx.fetchval("SELECT id FROM quarantine")
            await tx.execute(
                """INSERT INTO cases (id, kind, shop, order_id, subject_id, why, opened_at)
                VALUES ('casz', 'mismatch', 'acme', $1, $2, $3, now())""", held["order_id"], held["id"],
                "paid, but not as agreed (agreed 12.50 CNY, the channel says 9.00 CNY); held for a person's decision",
            )  # fmt: skip
        orders = [f"/orders/{p['order_id']}" for p in (paid, unpaid, closed, held)]
        deeds = [f"/payments/{unpaid['id']}/{deed}" for deed in ("query", "confirm")]
        deeds += [f"/payments/{paid['id']}/refund", f"/orders/{unpaid['order_id']}/close",
                  f"/orders/{paid['order_id']}/resend"]  # fmt: skip
        pages = ["/", "/search?q=nothing-is-so", "/search?q=12.50", "/cases", "/cases/casz", "/approvals", asked,
                 "/callbacks", "/callbacks/quarantine", f"/callbacks/quarantine/{refused}", "/deliveries",
                 f"/callbacks/quarantine/{refused}/replay", "/reconcile?all=yes", f"/reconcile/{broken.break_id}",
                 "/stock", "/channels", "/audit", "/settings", "/users", "/account", "/nowhere",
                 "/orders/ord-not-there", "/watched", "/watched?late=yes"]  # fmt: skip
        audit = (await carol.get("/audit")).text
        found = {path: await left_over(carol, path) for path in (*orders, *deeds, *pages)}
    found["the check of an account"] = sentences(checked.text)
    assert "" == "\n".join(f"{path}: {said}" for path, said in found.items() if said)
    assert "待处理 → 2 人中已有 1 人同意" in audit  # one word of English is no sentence, and would not be seen above


def test_an_english_sentence_would_be_seen() -> None:
    """In the text and in what a screen reader says; not in code, and not in what the shop wrote."""
    page = '<p title="who asks for it">说</p><pre>a b cd</pre><b>the order is paid</b><i>two green teas</i>'
    assert ["the order is paid", "who asks for it"] == sentences(page)
