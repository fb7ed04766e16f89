"""What people do with the console, in a real browser."""

import re
from pathlib import Path

import pytest
from people import PHONE, at_work, barriers, is_wider_than_the_screen
from playwright.async_api import Browser, Page, expect

from api_side import Api
from break_side import a_break, next_round
from console_side import a_user
from paidup.hand.query import AT_MOST_EVERY
from paidup.people.user import Role
from upload_side import DAY, wechat_bill

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
PAGES = (
    "", "cases", "approvals", "callbacks", "callbacks/quarantine", "deliveries", "reconcile", "reconcile/bills",
    "stock", "channels", "audit", "settings", "users", "account", "watched", "watched?late=yes",
    "search?q=nothing-here",
)  # fmt: skip


async def a_lost_payment(api: Api, number: str = "LOST-777001") -> dict[str, str]:
    """Paid at the channel; no callback came, and nobody has asked yet."""
    payment = await api.an_open_payment(number)
    await api.buyer_pays(payment)
    await asked_long_ago(api)
    return payment


async def asked_long_ago(api: Api) -> None:
    async with api.paidup.db.session() as tx:
        await tx.execute("UPDATE channel_calls SET called_at = called_at - $1::interval", 2 * AT_MOST_EVERY)


async def look_up(page: Page, number: str) -> None:
    """As somebody does who has the customer on the phone: from the home page."""
    await page.goto("")
    await page.fill("#big-q", number)
    await page.press("#big-q", "Enter")


async def test_a_lost_payment_is_found_by_six_characters_and_healed_by_hand(api: Api, chromium: Browser) -> None:
    """Home, search, verdict, timeline, the raw answer, and back with the payment paid."""
    await a_lost_payment(api)
    async with at_work(api, chromium, role=Role.OPERATOR) as page:
        await look_up(page, "777001")
        await expect(page.locator("#verdict")).to_contain_text("Not paid: the payment is open")
        await page.get_by_role("link", name="Query now").click()
        await expect(page.locator(".will")).to_contain_text("asking alone changes nothing")
        await page.get_by_role("button", name="Ask the channel").click()
        await expect(page.locator("#verdict")).to_contain_text("The callback was lost; the active query found it")
        scene = page.locator(".scene.call").filter(has_text="Asked the channel")
        await scene.locator("summary").click()
        await expect(scene.locator("pre")).to_contain_text("SUCCESS")
        assert [] == await barriers(page)


async def test_two_people_confirm_what_the_channel_contradicts(api: Api, chromium: Browser) -> None:
    """Carol asks, sees that it waits; Bob looks at the order, agrees; the order is paid."""
    payment = await api.an_open_payment("A-2")
    await asked_long_ago(api)
    async with (
        at_work(api, chromium, "carol", Role.FINANCE) as carol,
        at_work(api, chromium, "bob", Role.APPROVER) as bob,
    ):
        await carol.goto(f"orders/{payment['order_id']}")
        await carol.get_by_role("link", name="Confirm").click()
        await carol.fill("[name=txn]", "4200001999000001")
        await carol.fill("[name=why]", "seen in the merchant console")
        await carol.get_by_role("button", name="Ask the channel").click()
        await expect(carol.locator(".note.warn")).to_contain_text("the channel itself says that nobody has paid")
        await carol.get_by_role("button", name="Ask a second person").click()
        await expect(carol.locator(".note.warn")).to_contain_text("Nothing happens until they agree")
        await bob.get_by_role("link", name="Decisions that wait for a second person").click()
        await bob.get_by_role("link", name=re.compile("Confirm a payment of")).click()
        assert [] == await barriers(bob)
        await bob.fill("[name=why]", "I saw it, too")
        await bob.get_by_role("button", name="Agree").click()
        await bob.get_by_role("link", name="See the order first").click()
        await expect(bob.locator("#verdict")).to_contain_text("A person confirmed it by hand.")


async def test_finance_uploads_a_bill_and_reads_why_it_is_refused(api: Api, chromium: Browser, tmp_path: Path) -> None:
    """From the Reconcile page: a file chosen, the day filled in, the reason in the list; then a sound one."""
    (mchid,) = [str(party.account.mchid) for party in api.paidup.parties() if party.name == "wechat/main"]
    async with at_work(api, chromium, "carol", Role.FINANCE) as carol:
        await carol.get_by_role("link", name="Reconcile").first.click()
        await carol.get_by_role("link", name="Bills").click()
        for name, bill in (("wrong", wechat_bill(mchid, "A-1", stated=9)), ("right", wechat_bill(mchid, "A-1"))):
            (tmp_path / f"{name}.csv.gz").write_bytes(bill)
            await carol.select_option("[name=account]", "wechat/main")
            await carol.fill("[name=day]", str(DAY))
            await carol.set_input_files("[name=file]", tmp_path / f"{name}.csv.gz")
            await carol.get_by_role("button", name="Upload").click()
            await expect(carol.locator(f"tr:has-text('{name}.csv.gz')")).to_be_visible()
        await expect(carol.locator("tr", has_text="wrong.csv.gz")).to_contain_text("do not add up to its totals")
        await expect(carol.locator("tr", has_text="right.csv.gz")).to_contain_text("Sound")
        assert [] == await barriers(carol)


async def test_two_people_approve_a_break_and_the_next_round_heals_it(api: Api, chromium: Browser) -> None:
    """Carol reads both sides and agrees, once; Bob agrees; the worker books it; the audit and the order tell it."""
    waits = await a_break(api, "LOST-777002")
    async with (
        at_work(api, chromium, "carol", Role.FINANCE) as carol,
        at_work(api, chromium, "bob", Role.APPROVER) as bob,
    ):
        await carol.get_by_role("link", name="Reconcile").first.click()
        await carol.locator(f"a[href$='/reconcile/wechat/main/{waits.day}']").click()
        await expect(carol.locator(f"a[href$='/reconcile/{waits.break_id}']")).to_contain_text("LOST-777002")
        await carol.go_back()
        async with carol.expect_download() as download:
            await carol.get_by_role("link", name=f"Report of {waits.day} as HTML").click()
        assert f"wechat-main-{waits.day}.en.html" == (await download.value).suggested_filename
        await carol.get_by_role("link", name=re.compile("Money that our books do not have")).click()
        sides = carol.locator(".columns .card")
        await expect(sides.nth(0)).to_contain_text("CN¥12.50")
        await expect(sides.nth(1)).to_contain_text("LOST-777002")
        assert [] == await barriers(carol)
        for person, why in ((carol, "seen in the merchant console"), (bob, "I saw it, too")):
            await person.goto(f"reconcile/{waits.break_id}")
            await person.fill("[name=why]", why)
            await person.get_by_role("button", name="Agree to the repair").click()
            await expect(person.locator(".note").first).to_contain_text("agreed")
            await expect(person.get_by_role("button", name="Agree to the repair")).to_have_count(0)
        await expect(bob.locator(".verdict .state")).to_have_text("Approved")
        await next_round(api)
        await bob.reload()
        await expect(bob.locator(".verdict .state")).to_have_text("Healed")
        await bob.get_by_role("link", name="See the order").click()
        await expect(bob.locator("#verdict")).to_contain_text("the channel's bill did.")
        await expect(bob.locator(".timeline")).to_contain_text("I saw it, too")
        await bob.goto("audit")
        for who, why in (("carol", "seen in the merchant console"), ("bob", "I saw it, too")):
            await expect(bob.get_by_role("row").filter(has_text=why)).to_contain_text(who)


async def test_a_quarantined_callback_is_replayed_from_the_home_page(api: Api, chromium: Browser) -> None:
    """The forged one stays where it is, and the page says so."""
    async with api.session.post(f"{api.url}/callbacks/wechat/main", data=b"{}") as answer:
        assert answer.status in (400, 401)
    async with at_work(api, chromium) as page:
        await page.get_by_role("link", name="Callbacks in quarantine since yesterday").click()
        await page.locator(".rows a").first.click()
        await page.get_by_role("link", name="Replay").click()
        await page.fill("[name=why]", "the key was mended")
        await page.get_by_role("button", name="Verify again").click()
        await expect(page.locator(".note")).to_contain_text("Still refused")


async def test_a_customer_is_answered_in_chinese_on_a_phone(api: Api, chromium: Browser) -> None:
    """The browser's language and zone; nothing is wider than the screen; the menu leads everywhere."""
    await a_lost_payment(api)
    async with at_work(api, chromium, language="zh-CN", size=PHONE) as page:
        await page.goto("")
        find = await page.get_by_role("button", name="查找").bounding_box()
        assert find is not None
        assert find["width"] > find["height"]  # its two characters stand side by side
        await look_up(page, "9" * 200)
        await expect(page.locator("h1")).to_contain_text("没有找到")
        assert not await is_wider_than_the_screen(page)
        await look_up(page, "LOST-777001")
        await expect(page.locator("#verdict")).to_contain_text("未支付")
        assert not await is_wider_than_the_screen(page)
        await page.locator("details.me summary").click()
        await page.get_by_role("link", name="待办").click()
        await expect(page.locator("h1")).to_have_text("待办")
        await page.locator("details.me summary").click()
        await page.get_by_role("button", name="English").click()
        await expect(page.locator("h1")).to_have_text("Cases")


async def test_the_keyboard_finds_the_search(api: Api, chromium: Browser) -> None:
    """A slash from anywhere, and a skip link first of all."""
    async with at_work(api, chromium) as page:
        await page.goto("audit")
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        await page.keyboard.press("/")
        await expect(page.locator("#q")).to_be_focused()


async def test_an_unpaid_order_is_understood_and_asked_about_without_a_mouse(api: Api, chromium: Browser) -> None:
    """With the keyboard alone: the number, Enter; Tab to the deed, Enter; Tab to its button, Enter."""
    payment = await api.an_open_payment("A-777003")
    await asked_long_ago(api)
    async with at_work(api, chromium, role=Role.OPERATOR) as page:
        await expect(page.locator("#big-q")).to_be_focused()
        await page.keyboard.type("777003")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/orders/{payment['order_id']}")
        await expect(page.locator("#verdict")).to_contain_text("Not paid: the payment is open")
        await expect(page.locator(".verdict")).to_contain_text("ask for the number there and search for it")
        await tab_to(page, "Query now")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/query")
        await tab_to(page, "Ask the channel")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/orders/**")
        await expect(page.locator("#verdict")).to_contain_text("itself said at")


async def tab_to(page: Page, name: str) -> None:
    """As often as it takes, within reason."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        if name == (await page.evaluate("document.activeElement.textContent")).strip():
            return
    raise AssertionError(f"{name!r} is not reached by Tab")


@pytest.mark.parametrize("look", [("light", None), ("dark", PHONE)], ids=["light desk", "dark phone"])
async def test_every_page_is_open_to_everybody(api: Api, chromium: Browser, look: tuple[str, dict[str, int]]) -> None:
    """axe finds no barrier (WCAG 2.2 A and AA), and nothing is wider than a phone."""
    payment, waits = await api.a_paid_payment(), await a_break(api, "A-2")
    await api.call("PUT", "/v1/skus/TEA-250", {"name": "Green tea"})
    theme, size = look
    async with at_work(api, chromium, theme=theme, size=size) as page:
        deeds = [f"payments/{payment['id']}/{deed}" for deed in ("query", "confirm", "refund", "release")]
        deeds += [f"orders/{payment['order_id']}/{deed}" for deed in ("close", "resend")]
        for path in (*PAGES, f"orders/{payment['order_id']}", f"reconcile/{waits.break_id}", *deeds):
            await page.goto(path)
            assert (path, [], False) == (path, await barriers(page), await is_wider_than_the_screen(page))


async def test_an_admin_with_a_phone_reaches_every_button(api: Api, chromium: Browser) -> None:
    """Disabling somebody in a hurry stands on the screen, and not beside it."""
    await a_user(api, "bob", Role.FINANCE)
    async with at_work(api, chromium, size=PHONE) as page:
        await page.goto("users")
        for name in ("Change role", "Disable", "Sign-in link", "Reset"):
            box = await page.get_by_role("button", name=name).bounding_box()
            assert box is not None
            assert (name, True) == (name, box["x"] + box["width"] <= PHONE["width"])


async def test_what_others_write_never_runs(api: Api, chromium: Browser) -> None:
    """Order number, description, reason, case, header, source and audit: all of it shows as text."""
    order = {"shop_order_no": SCRIPT[:60], "amount_minor": 1250, "currency": "CNY", "description": SCRIPT}
    order_id = (await api.call("POST", "/v1/orders", order))[1]["id"]
    _, payment = await api.call("POST", f"/v1/orders/{order_id}/payments", {"channel": "wechat"}, once="open")
    word = {"payment_id": payment["id"], "channel_txn_id": "42-less", "amount_minor": 900, "currency": "CNY",
            "reason": SCRIPT}  # fmt: skip
    await api.second_agrees((await api.call("POST", "/v1/evidence", word, once="less"))[1])
    forged = {"wechatpay-serial": SCRIPT, "wechatpay-signature": SCRIPT, "wechatpay-timestamp": "1"}
    async with api.session.post(f"{api.url}/callbacks/wechat/main", data=SCRIPT.encode(), headers=forged) as answer:
        assert answer.status in (400, 401)
    async with api.paidup.db.session() as tx:
        case_id = await tx.fetchval("SELECT id FROM cases")
        refused = await tx.fetchval("SELECT id FROM quarantine")
    async with at_work(api, chromium) as page:
        for path in (f"orders/{order_id}", f"cases/{case_id}", "cases", "audit", "callbacks/quarantine",
                     f"callbacks/quarantine/{refused}", f"search?q={SCRIPT}"):  # fmt: skip
            await page.goto(path)
            shown = await page.locator("main").inner_text()
            quotes_nobody = path.startswith("cases") or path == "callbacks/quarantine"
            assert (path, True) == (path, "alert(1)" in shown or quotes_nobody)
            assert 0 == await page.locator("img[src=x]").count()
