"""What the real channels refuse, the sandbox refuses, and in their words: judged by merchants who make mistakes."""

import pytest

import sandbox_merchant as merchant
from paidup.errors import InvalidRequest
from paidup.sandbox.ledger import RefundState
from sandbox_merchant import NOW, after, notices, wechat_opened


def paid_at_wechat(**manners):
    world = merchant.world(**manners)
    world.respond(merchant.wechat_open("order1"), NOW)
    world.pay(world.find("wechat", "main", "order1", NOW), NOW)
    notices(world)
    return world


def test_a_refund_that_was_made_fail_stays_failed() -> None:
    """Also one that was under way: its money may be refunded anew, and never twice."""
    world = paid_at_wechat(refund_s=10)
    trade = world.find("wechat", "main", "order1", NOW)
    world.respond(merchant.wechat_refund("order1", "r1", 1250), NOW)
    world.refund_fails(trade, "r1", after(1))
    world.respond(merchant.wechat_refund("order1", "r2", 1250), after(2))
    world.advance(after(60))
    told = [wechat_opened(notice)[0]["event_type"] for _, notice in notices(world)]
    assert ([RefundState.FAILED, RefundState.SUCCEEDED], 1250, ["REFUND.ABNORMAL", "REFUND.SUCCESS"]) == (
        [refund.state for refund in trade.refunds], trade.refunded_minor(), told,
    )  # fmt: skip


def test_a_refund_does_not_fail_twice() -> None:
    """The second time there is nothing to fail, and nobody is told of it."""
    world = paid_at_wechat(refund_s=0)
    trade = world.find("wechat", "main", "order1", NOW)
    world.respond(merchant.wechat_refund("order1", "r1", 400), NOW)
    world.refund_fails(trade, "r1", after(1))
    notices(world)
    with pytest.raises(InvalidRequest, match="failed already"):
        world.refund_fails(trade, "r1", after(2))
    assert [] == notices(world)
