"""Notices that come long after what they tell of: what happened since is not undone."""

from dataclasses import replace

from merchant import Merchant
from paidup.channels.messages import CallbackRequest
from paidup.intake.receive import Receiver
from paidup.refunds.states import State
from paidup.sandbox.ledger import Refund, RefundState
from paidup.sandbox.wire import News


def notices_of(merchant: Merchant, refund: Refund) -> tuple[News, ...]:
    """What WeChat Pay told when the refund was made."""
    return merchant.sandbox.world.provider("wechat", "main").news(refund, refund.made_at)


async def come_in(merchant: Merchant, news: tuple[News, ...]) -> None:
    """The notices, sent again and signed now."""
    receiver = Receiver(merchant.db, merchant.accounts, max_waiting=100, keep_per_source=10)
    for one in news:
        notice = merchant.sandbox.world.provider("wechat", "main").notice(one, merchant.clock.now())
        headers = tuple((name.lower(), value) for name, value in notice.headers.items())
        request = CallbackRequest("POST", "/callbacks/wechat/main", headers, notice.body)
        got = await receiver.receive(request, "wechat", "main", source="203.0.113.7", now=merchant.clock.now())
        assert got.verdict == "valid"
    await receiver.close()
    await merchant.take_in()


async def test_an_old_notice_that_a_refund_failed_does_not_undo_its_success(merchant: Merchant) -> None:
    """WeChat Pay: the bank refused the money, a person sent it another way, and it arrived. Only then the notice of the
    failure comes, sent again: the money stays given back."""
    payment = await merchant.offer(await merchant.order())
    merchant.pay(payment)
    await merchant.repair_for(60)
    refund = await merchant.refund(await merchant.payment(payment), 500)
    await merchant.repair_for(60, step_s=5)
    arrived = (await merchant.refund_now(refund)).state
    merchant.sandbox.world.news.clear()
    (given_back,) = merchant.trade(payment).refunds
    await merchant.clock.advance(600)
    await come_in(merchant, notices_of(merchant, replace(given_back, state=RefundState.FAILED)))
    stands = await merchant.payment(payment)
    assert (State.SUCCEEDED, State.SUCCEEDED, 500) == (
        arrived,
        (await merchant.refund_now(refund)).state,
        stands.refunded_minor,
    )
