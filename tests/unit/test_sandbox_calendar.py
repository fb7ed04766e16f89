"""The ends of the calendar: the sandbox's channels answer there as anywhere, and do not fall over."""

import pytest

import sandbox_merchant as merchant
from paidup.sandbox.faults import BillFaults
from sandbox_merchant import NOW, alipay_ask, stripe_ask, wechat_ask

DAYS = ("0001-01-01", "9999-12-31")
METHOD = "alipay.data.dataservice.bill.downloadurl.query"
REPORT = "balance_change_from_activity.itemized.3"


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("day", DAYS)
def test_a_bill_of_the_first_and_of_the_last_day_is_answered(day: str, early: bool) -> None:
    """No such bill, by WeChat Pay and Alipay, whose days begin in Beijing: there the moment is off the calendar."""
    faults = merchant.Faults(bill=BillFaults(early=early))
    world = merchant.world(faults)
    told = [
        world.respond(wechat_ask("GET", f"/v3/bill/tradebill?bill_date={day}&bill_type=ALL&tar_type=GZIP"), NOW),
        world.respond(alipay_ask(METHOD, bill_type="trade", bill_date=day), NOW),
    ]
    assert [400, 200] == [tell.status for tell in told]


@pytest.mark.parametrize("moment", ["-62135596800", "253402300799"])
def test_a_report_of_the_first_and_of_the_last_second_is_answered(moment: str) -> None:
    """Stripe's report runs are asked for in seconds; a zone east or west of UTC leaves the calendar."""
    for zone in ("Asia/Shanghai", "America/New_York"):
        fields = {"interval_start": moment, "interval_end": moment, "timezone": zone}
        ask = stripe_ask(
            "POST",
            "/v1/reporting/report_runs",
            report_type=REPORT,
            **{f"parameters__{name}": value for name, value in fields.items()},
        )
        assert 400 == merchant.world().respond(ask, NOW).status
