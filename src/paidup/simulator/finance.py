"""The person in the shop who uploads the bills that the channels corrected, over the API like anybody else."""

from collections.abc import Callable
from datetime import date
from functools import partial

from paidup.channels.alipay.keys import AlipayAccount
from paidup.channels.channel import Account
from paidup.channels.wechat.keys import WechatAccount
from paidup.sandbox.alipay.bill_files import alipay_trades
from paidup.sandbox.bills import BilledDay
from paidup.sandbox.stripe.reports import STRIPE_COLUMNS, stripe_report
from paidup.sandbox.wechat.bill_files import gzipped, wechat_trades
from paidup.simulator.bill_books import ACCOUNT
from paidup.simulator.bill_fates import FatedBills
from paidup.simulator.channels import Later
from paidup.simulator.postman import answered
from paidup.simulator.process import Process, request
from paidup.simulator.shop import Shop
from paidup.simulator.stage import Stage
from paidup.simulator.witness import Witness

AGAIN_S = 60.0
_BOUNDARY = "corrected"


class Finance:
    """Uploads what is corrected, until it is taken."""

    def __init__(
        self,
        shop: Shop,
        bills: FatedBills,
        stage: Stage,
        witness: Witness,
        *,
        pick: Callable[[str], Process | None],
        later: Later,
    ) -> None:
        self._shop = shop
        self._bills = bills
        self._stage = stage
        self._witness = witness
        self._pick = pick
        self._later = later

    def look(self) -> None:
        """The channels say which bills they correct; each is uploaded."""
        for channel, day in self._bills.correct(ACCOUNT):
            self._begin(channel, day)

    def _begin(self, channel: str, day: date) -> None:
        self._stage.spawn(f"finance {channel} {day}", self._upload(channel, day))

    async def _upload(self, channel: str, day: date) -> None:
        name = f"upload {channel} {day}"
        process = self._pick(name)
        if process is None:
            self._later(AGAIN_S, partial(self._begin, channel, day))
            return
        (party,) = [one for one in process.parties() if one.account.channel == channel]
        zone = party.channel.bill_zone(party.account)
        file = _printed(party.account, BilledDay(entries=self._bills.as_printed(channel, ACCOUNT, day, zone)), day)
        headers = (
            ("authorization", f"Bearer {self._shop.api_key}"),
            ("content-type", f"multipart/form-data; boundary={_BOUNDARY}"),
        )
        body = _form({"account": party.name, "day": str(day)}, file)
        call = request(process.api, "POST", "/v1/bills", headers, body, source="10.0.0.3")
        replied = await answered(self._stage, name, call, process)
        self._stage.note(f"{name} answered {replied.status}")
        if not replied.status or replied.status >= 500:
            self._later(AGAIN_S, partial(self._begin, channel, day))
        elif replied.status != 201:
            self._witness.breach("a corrected bill is taken", f"{channel} {day}: {replied.body.decode()[:300]}")


def _printed(account: Account, billed: BilledDay, day: date) -> bytes:
    """The file as the channel gives it."""
    match account:
        case WechatAccount():
            return gzipped(wechat_trades(billed, account.mchid, account.appid))
        case AlipayAccount():
            return alipay_trades(billed, account.seller_id, day)
        case _:
            return stripe_report(billed, STRIPE_COLUMNS)


def _form(fields: dict[str, str], file: bytes) -> bytes:
    parts = [f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="corrected"\r\n\r\n'
    return "".join(parts).encode() + head.encode() + file + f"\r\n--{_BOUNDARY}--\r\n".encode()
