"""Asking Alipay where a bill is. The address it tells works for 30 seconds, and for whoever has it."""

from datetime import date, datetime, time, timedelta

from paidup.channels.alipay.gateway import Answer, ask, needed, no_to_a_question
from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.alipay.trade import BEIJING
from paidup.channels.bill import BillKind, BillName, BillProof
from paidup.channels.bill_address import address_of
from paidup.channels.messages import BillAt, BillComing, Exchange, NoBill, Outcome, Request, Success

_METHOD = "alipay.data.dataservice.bill.downloadurl.query"
_TYPES = {BillKind.TRADES: "trade", BillKind.FUNDS: "signcustomer"}
_READY = time(10)
"""Alipay makes a day's bills at about 9 o'clock of the next day."""
_HOSTS = (".alipay.com", ".alipaydev.com")
_NONE = "bill_not_exist"


def ready_at(day: date) -> datetime:
    """When the bill of a day is made."""
    return datetime.combine(day + timedelta(days=1), _READY, BEIJING)


def ask_bill(name: BillName, account: AlipayAccount, now: datetime) -> Exchange:
    """The file itself is signed by nothing: that it came over TLS from Alipay's address, told under a signature, is all
    its proof. BILL_NOT_EXIST is also said of bills that are not made yet."""

    def read(answer: Answer, now: datetime) -> Outcome:
        if answer.signed and answer.fields.get("sub_code", "").rpartition(".")[2].lower() == _NONE:
            return Success(bill=NoBill(str(answer)) if now >= ready_at(name.day) else BillComing(str(answer)))
        if not answer.ok:
            return no_to_a_question(answer)
        base_url, target = address_of(needed(answer, "bill_download_url"), account, _HOSTS)
        return Success(bill=BillAt(Request("GET", base_url, target, (), b""), BillProof()))

    biz = {"bill_type": _TYPES[name.kind], "bill_date": name.day.isoformat()}
    return ask(_METHOD, biz, account, now, read)
