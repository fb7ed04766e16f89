"""What every channel must keep, as claims over a specimen of it.

A specimen is one account with keys made for the test, real callbacks and the provider's real answers, all signed as
the provider signs. A claim is a function of a specimen; its docstring says what it holds. Each claim is about one
payment (number ``pay1``) and one refund of it (``ref1``); `Specimen` says what they are.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paidup.channels.bill import Bill, BillFault, BillName, BillProof, BillRefused, LineKind, day_in
from paidup.channels.channel import Account, Channel, PaymentName, RefundName, ToOpen
from paidup.channels.messages import (
    BillAt,
    BillComing,
    CallbackRequest,
    Declined,
    Exchange,
    NoBill,
    Outcome,
    Request,
    Response,
    Retryable,
    Success,
    Unknown,
)
from paidup.errors import CallbackRefused, ConfigError, InvalidRequest, Verdict
from paidup.evidence import (
    DisputeSays,
    PaymentEvidence,
    PaymentSays,
    RefundEvidence,
    RefundSays,
    Road,
    decode,
    encode,
)

Says = PaymentSays | RefundSays | DisputeSays


@dataclass(frozen=True, kw_only=True)
class Opening:
    """One way to open a payment. answer: what the provider says to it; None when nothing is sent. needs: the names
    in `to_open.extra` without which it must be refused. pay_with: the names that the customer's device gets."""

    to_open: ToOpen
    answer: Response | None
    pay_with: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Billing:
    """One bill of trades as the suite sees it: a payment of 12.50 under ``pay1`` and 5.00 given back under ``ref1``.

    at, coming, none: the provider's signed answers to the question where it is. coming is None where the provider has
    no word of its own for a bill that is not made yet, none where it gives an empty bill. elsewhere: an answer that
    names an address which is not the provider's. file, proof: what is downloaded. others: whole files of another
    merchant or another day, where a file says whose and when.
    """

    name: BillName
    at: Response
    coming: Response | None
    none: Response | None
    elsewhere: Response
    file: bytes
    proof: BillProof
    others: Mapping[BillFault, bytes]


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """A channel as the suite sees it. Callbacks and answers speak of `payment` and `refund`, at `now`.

    table, files: what parse_account gets. secrets: what no repr may show. callbacks: by happening, each with what its
    evidence says, in order; "paid" must be among them, and "other kind" is one that says nothing about money.
    other_receiver: a paid callback, truly signed, whose money went to another merchant. forged: a paid callback
    signed with somebody else's key. openings: by method. elsewhere: a signed answer to the query that speaks of
    another payment. refund_number: what makes the refund request idempotent, read from the request as it is sent.
    """

    channel: Channel[Any]
    table: Mapping[str, object]
    files: Mapping[str, bytes]
    secrets: tuple[bytes, ...]
    now: datetime
    payment: PaymentName
    refund: RefundName
    callbacks: Mapping[str, tuple[CallbackRequest, tuple[Says, ...]]]
    other_receiver: CallbackRequest
    forged: CallbackRequest
    openings: Mapping[str, Opening]
    paid: Response
    not_found: Response
    elsewhere: Response
    closed: Response
    refunded: Response
    refund_says: RefundSays
    refund_found: Response
    refund_number: Callable[[Request], str]
    billing: Billing
    account: Account = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "account", self.channel.parse_account("main", self.table, self.files))

    @property
    def paid_callback(self) -> CallbackRequest:
        return self.callbacks["paid"][0]

    def read(self, request: CallbackRequest) -> Verdict:
        """The verdict on a callback; anything raised that is no refusal passes through and fails the test."""
        try:
            self.channel.read_callback(request, self.account, self.now)
        except CallbackRefused as refusal:
            return refusal.verdict
        return Verdict.VALID

    def deeds(self) -> Iterator[Exchange]:
        """Everything that may change something at the provider."""
        for opening in self.openings.values():
            sent = self.channel.open(opening.to_open, self.account, self.now)
            if isinstance(sent, Exchange):
                yield sent
        yield self.channel.close(self.payment, self.account, self.now)
        yield self.channel.refund(self.refund, self.account, self.now)

    def questions(self) -> Iterator[Exchange]:
        """Everything that only asks."""
        yield self.channel.query(self.payment, self.account, self.now)
        yield self.channel.query_refund(self.refund, self.account, self.now)
        for kind in self.channel.bills:
            yield self.channel.ask_bill(BillName(kind=kind, day=self.billing.name.day), self.account, self.now)

    def asked(self, answer: Response) -> Outcome:
        """What asking for the bill brings."""
        return self.channel.ask_bill(self.billing.name, self.account, self.now).read(answer, self.now)

    def bill(self, file: bytes, proof: BillProof | None = None) -> Bill:
        """The bill in these bytes; anything raised that is no refusal passes through and fails the test."""
        return self.channel.read_bill(io.BytesIO(file), self.billing.name, self.account, proof or self.billing.proof)

    def bill_fault(self, file: bytes, proof: BillProof | None = None) -> BillFault | None:
        """Why the bill is refused; None when it is not."""
        try:
            self.bill(file, proof)
        except BillRefused as refusal:
            return refusal.fault
        return None


# Accounts ---------------------------------------------------------------------------------------------------------


def an_account_names_itself(it: Specimen) -> None:
    """An account carries its channel, its name, its shop, and whom it pays."""
    expected = (it.channel.name, "main", it.table["shop"], it.table["notify_url"])
    assert expected == (it.account.channel, it.account.name, it.account.shop, it.account.notify_url)
    assert it.account.payee
    assert it.account.base_url.startswith("https://")


def a_misspelt_name_is_told_with_the_nearest(it: Specimen) -> None:
    """A name in account.toml that the channel does not know is an error that names the one probably meant."""
    for name in it.table:
        misspelt = {(f"{key}x" if key == name else key): value for key, value in it.table.items()}
        with pytest.raises(ConfigError, match=f"'{name}x'.*'{name}'"):
            it.channel.parse_account("main", misspelt, it.files)


def a_missing_file_is_told(it: Specimen) -> None:
    """A key file that account.toml names and that is not there is an error that names the file."""
    for name in it.files:
        others = {key: value for key, value in it.files.items() if key != name}
        with pytest.raises(ConfigError, match=name):
            it.channel.parse_account("main", it.table, others)


def a_broken_or_empty_file_is_told(it: Specimen) -> None:
    """A key file without its key is an error of ours to mend, never an account that trusts everybody."""
    for name in it.files:
        for content in (b"", b"\n", b"\xff\xfe\x00"):
            with pytest.raises(ConfigError):
                it.channel.parse_account("main", it.table, {**it.files, name: content})


def keys_are_shown_without_their_secrets(it: Specimen) -> None:
    """Keys are told apart by name and fingerprint; neither they nor the account print what must stay secret."""
    shown = it.channel.keys(it.account)
    assert len(shown) == len({(key.use, key.name) for key in shown}) > 0
    assert all(len(key.fingerprint) == 16 and int(key.fingerprint, 16) >= 0 for key in shown)
    printed = f"{shown!r}{it.account!r}".encode()
    assert [] == [secret for secret in it.secrets if secret in printed]


# Callbacks --------------------------------------------------------------------------------------------------------


def each_happening_has_its_meaning(it: Specimen) -> None:
    """Every callback says what its happening means; one of another kind says nothing, and is no error."""
    expected = {name: says for name, (_, says) in it.callbacks.items()}
    read = {name: it.channel.read_callback(sent, it.account, it.now) for name, (sent, _) in it.callbacks.items()}
    assert expected == {name: tuple(e.says for e in reading.evidence) for name, reading in read.items()}
    assert all(reading.key and reading.kind for reading in read.values())


def evidence_says_whose_and_how_much(it: Specimen) -> None:
    """A paid callback names the payment, its amount, the receiver, the road and the time, as the payment has them."""
    (paid,) = it.channel.read_callback(it.paid_callback, it.account, it.now).evidence
    expected = (
        it.payment.merchant_ref,
        it.payment.money,
        it.account.payee,
        (it.channel.name, "main"),
        Road.CALLBACK,
        it.now,
    )
    shown = (paid.merchant_ref, paid.amount, paid.payee, (paid.channel, paid.account), paid.road, paid.received_at)
    assert expected == shown
    assert paid.note
    assert paid.channel_txn_id
    assert paid.occurred_at is not None
    assert paid.occurred_at.utcoffset() is not None


def refund_evidence_names_the_refund(it: Specimen) -> None:
    """Evidence about a refund names the payment's number or id, and the refund's."""
    told = [e for sent, _ in it.callbacks.values() for e in it.channel.read_callback(sent, it.account, it.now).evidence]
    refunds = [e for e in told if isinstance(e, RefundEvidence)]
    assert refunds
    assert all(e.merchant_ref or e.channel_txn_id for e in refunds)
    assert all(e.merchant_refund_ref or e.channel_refund_id for e in refunds)


def another_receiver_is_evidence_not_a_refusal(it: Specimen) -> None:
    """Money for another merchant is told as such, so that the door can see it and keep it; it is not thrown away."""
    (paid,) = it.channel.read_callback(it.other_receiver, it.account, it.now).evidence
    assert it.account.payee != paid.payee


def reading_twice_says_the_same(it: Specimen) -> None:
    """Reading is a function of bytes, keys and time: a repeat has the same key and the same evidence."""
    for sent, _ in it.callbacks.values():
        first, again = (it.channel.read_callback(sent, it.account, it.now) for _ in range(2))
        assert first == again


def different_happenings_have_different_keys(it: Specimen) -> None:
    """A later happening of one payment never passes for a repeat of an earlier one."""
    keys = [it.channel.read_callback(sent, it.account, it.now).key for sent, _ in it.callbacks.values()]
    assert len(keys) == len(set(keys))


def evidence_can_be_stored(it: Specimen) -> None:
    """Evidence comes back from its JSON as it went in."""
    for sent, _ in it.callbacks.values():
        for evidence in it.channel.read_callback(sent, it.account, it.now).evidence:
            assert evidence == decode(encode(evidence))


def a_forged_callback_is_refused(it: Specimen) -> None:
    """What somebody else signed is an invalid signature."""
    assert Verdict.INVALID_SIGNATURE == it.read(it.forged)


def a_changed_byte_changes_nothing_or_is_refused(it: Specimen) -> None:
    """No byte of the body can be changed to another meaning."""
    sent = it.paid_callback
    honest = it.channel.read_callback(sent, it.account, it.now)
    for at in range(0, len(sent.body), 7):
        body = sent.body[:at] + bytes([sent.body[at] ^ 1]) + sent.body[at + 1 :]
        try:
            reading = it.channel.read_callback(msgspec.structs.replace(sent, body=body), it.account, it.now)
        except CallbackRefused:
            continue
        assert honest == reading


def a_callback_without_its_headers_or_body_is_refused(it: Specimen) -> None:
    """Without its signature or without its content a callback is refused."""
    sent = it.paid_callback
    stripped = [msgspec.structs.replace(sent, body=b""), CallbackRequest("POST", sent.target, (), b"")]
    signed_in_headers = [pair for pair in sent.headers if "signature" in pair[0]]
    if signed_in_headers:
        stripped.append(msgspec.structs.replace(sent, headers=()))
    assert [] == [request for request in stripped if it.read(request) is Verdict.VALID]


def a_header_given_twice_is_refused(it: Specimen) -> None:
    """Of two signatures none is taken: guessing which one counts is how checks are walked around."""
    sent = it.paid_callback
    doubled = [pair for pair in sent.headers if pair[0] != "content-type"]
    twice = [msgspec.structs.replace(sent, headers=(*sent.headers, pair)) for pair in doubled]
    assert [] == [request for request in twice if it.read(request) is Verdict.VALID]


def a_flood_of_bytes_is_refused(it: Specimen) -> None:
    """A body of megabytes is refused before it is taken apart."""
    huge = msgspec.structs.replace(it.paid_callback, body=it.paid_callback.body + b" " * (3 << 20))
    assert Verdict.VALID != it.read(huge)


def hostile_bytes_are_refused_and_nothing_else(it: Specimen) -> None:
    """Whatever arrives, reading refuses and raises nothing else."""
    names = [name for name, _ in it.paid_callback.headers]
    text = st.text(st.characters(max_codepoint=255), max_size=40)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(body=st.binary(max_size=300), values=st.lists(text, min_size=len(names), max_size=len(names)))
    def holds(body: bytes, values: list[str]) -> None:
        request = CallbackRequest("POST", "/", tuple(zip(names, values, strict=True)), body)
        assert Verdict.VALID != it.read(request)

    holds()


def mangled_callbacks_never_raise_anything_else(it: Specimen) -> None:
    """A real callback with a piece of its body or of a header replaced is refused, or says what it said before."""
    sent = it.paid_callback
    honest = it.channel.read_callback(sent, it.account, it.now)
    piece = st.text(st.characters(max_codepoint=255), max_size=6)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        request = sent
        if sent.headers and data.draw(st.booleans(), "mangle a header"):
            which = data.draw(st.integers(0, len(sent.headers) - 1), "which")
            name, value = sent.headers[which]
            at, size = data.draw(st.integers(0, len(value)), "at"), data.draw(st.integers(0, 6), "size")
            changed = (name, value[:at] + data.draw(piece, "piece") + value[at + size :])
            headers = (*sent.headers[:which], changed, *sent.headers[which + 1 :])
            request = msgspec.structs.replace(sent, headers=headers)
        else:
            at, size = data.draw(st.integers(0, len(sent.body)), "at"), data.draw(st.integers(0, 6), "size")
            body = sent.body[:at] + data.draw(st.binary(max_size=6), "bytes") + sent.body[at + size :]
            request = msgspec.structs.replace(sent, body=body)
        try:
            reading = it.channel.read_callback(request, it.account, it.now)
        except CallbackRefused:
            return
        assert honest == reading

    holds()


def only_stored_callbacks_are_acknowledged(it: Specimen) -> None:
    """The acknowledgement is 2xx; every refusal is 4xx or 5xx, so that the provider sends again."""
    assert 200 <= it.channel.accepted().status < 300
    refusals = [it.channel.refused(CallbackRefused(verdict, "why")) for verdict in Verdict]
    assert [] == [reply for reply in refusals if not 400 <= reply.status < 600]


# Requests ---------------------------------------------------------------------------------------------------------


def requests_go_to_the_account_and_can_be_sent(it: Specimen) -> None:
    """A request goes to the account's own address, and nothing in it can break out of its line."""
    for exchange in (*it.deeds(), *it.questions()):
        request = exchange.request
        assert (it.account.base_url, "/") == (request.base_url, request.target[:1])
        lines = (request.method, request.target, *(part for pair in request.headers for part in pair))
        assert [] == [line for line in lines if not line.isascii() or not line.isprintable()]
        assert " " not in request.target


def each_method_gives_what_the_device_needs(it: Specimen) -> None:
    """Every method opens a payment and hands over what the customer's device needs, and nothing is empty."""
    assert it.channel.methods == tuple(it.openings)
    for opening in it.openings.values():
        outcome = it.channel.open(opening.to_open, it.account, it.now)
        if isinstance(outcome, Exchange):
            assert opening.answer is not None
            outcome = success(outcome.read(opening.answer, it.now))
        assert sorted(opening.pay_with) == sorted(outcome.pay_with)
        assert all(outcome.pay_with.values())


def a_method_without_what_it_needs_is_refused(it: Specimen) -> None:
    """An unknown method, or a missing field, is the caller's mistake and is told before anything is sent."""
    for opening in it.openings.values():
        for name in opening.needs:
            extra = {key: value for key, value in opening.to_open.extra.items() if key != name}
            with pytest.raises(InvalidRequest, match=name):
                it.channel.open(msgspec.structs.replace(opening.to_open, extra=extra), it.account, it.now)
        with pytest.raises(InvalidRequest):
            it.channel.open(msgspec.structs.replace(opening.to_open, method="carrier_pigeon"), it.account, it.now)


def a_refund_goes_out_under_one_number(it: Specimen) -> None:
    """Sent again an hour later, a refund carries the number that makes it pay only once; another refund another."""
    first, again = (
        it.refund_number(it.channel.refund(it.refund, it.account, it.now + timedelta(hours=h)).request) for h in (0, 1)
    )
    other = msgspec.structs.replace(it.refund, merchant_refund_ref="ref2")
    assert it.refund.merchant_refund_ref in first
    assert first == again != it.refund_number(it.channel.refund(other, it.account, it.now).request)


# Answers ----------------------------------------------------------------------------------------------------------


def a_query_tells_what_a_callback_tells(it: Specimen) -> None:
    """Asked about a paid payment, the channel says what its callback says, by the road of asking."""
    outcome = it.channel.query(it.payment, it.account, it.now).read(it.paid, it.now)
    (evidence,) = success(outcome).evidence
    (called,) = it.channel.read_callback(it.paid_callback, it.account, it.now).evidence
    assert (Road.QUERY, PaymentSays.PAID) == (evidence.road, evidence.says)
    same = ("merchant_ref", "channel_txn_id", "amount", "channel", "account")
    assert [getattr(called, name) for name in same] == [getattr(evidence, name) for name in same]
    assert evidence.payee in {None, it.account.payee}


def the_same_answer_later_is_a_repeat(it: Specimen) -> None:
    """An answer that says the same a minute later has the same key."""
    later = it.now + timedelta(minutes=1)
    asked = [it.channel.query(it.payment, it.account, at).read(it.paid, at) for at in (it.now, later)]
    assert 1 == len({evidence.key for outcome in asked for evidence in success(outcome).evidence})


def an_unknown_payment_is_not_a_failed_one(it: Specimen) -> None:
    """A payment the channel does not know is NOT_FOUND: while it is young that means nothing."""
    outcome = it.channel.query(it.payment, it.account, it.now).read(it.not_found, it.now)
    assert [PaymentSays.NOT_FOUND] == [e.says for e in success(outcome).evidence]


def an_answer_about_another_payment_proves_nothing(it: Specimen) -> None:
    """An answer that names another payment than we asked about is never evidence."""
    outcome = it.channel.query(it.payment, it.account, it.now).read(it.elsewhere, it.now)
    assert isinstance(outcome, Unknown | Retryable)


def closing_is_proven_by_the_channel(it: Specimen) -> None:
    """A payment is closed when the channel says so."""
    outcome = it.channel.close(it.payment, it.account, it.now).read(it.closed, it.now)
    told = [e for e in success(outcome).evidence if isinstance(e, PaymentEvidence)]
    assert [(PaymentSays.CLOSED, it.payment.merchant_ref, Road.QUERY)] == [
        (e.says, e.merchant_ref, e.road) for e in told
    ]


def a_refund_is_told_by_its_own_number(it: Specimen) -> None:
    """What became of a refund is told under the number it was sent with, when it is sent and when it is asked for."""
    sent = it.channel.refund(it.refund, it.account, it.now).read(it.refunded, it.now)
    asked = it.channel.query_refund(it.refund, it.account, it.now).read(it.refund_found, it.now)
    told = [e for outcome in (sent, asked) for e in success(outcome).evidence if isinstance(e, RefundEvidence)]
    expected = [(it.refund_says, it.refund.merchant_refund_ref), (RefundSays.SUCCEEDED, it.refund.merchant_refund_ref)]
    assert expected == [(e.says, e.merchant_refund_ref) for e in told]
    assert {None, it.refund.money} >= {e.amount for e in told}


def hostile_answers_prove_nothing(it: Specimen) -> None:
    """An unreadable answer is never raised, never a success and never a refusal; a deed may then have happened."""
    deeds, questions = tuple(it.deeds()), tuple(it.questions())

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(body=st.binary(max_size=200), status=st.sampled_from((100, 200, 201, 204, 302, 400, 401, 404, 500, 502)))
    def holds(body: bytes, status: int) -> None:
        response = Response(status, (("content-type", "application/json"),), body)
        assert [] == [x.request.target for x in deeds if not isinstance(x.read(response, it.now), Unknown)]
        assert [] == [
            x.request.target for x in questions if not isinstance(x.read(response, it.now), Unknown | Retryable)
        ]

    holds()


def trouble_at_the_channel_is_never_final(it: Specimen) -> None:
    """A 5xx leaves it open whether a deed was done, whatever it says, and truly signed or not; a question is asked
    again."""
    said = [it.paid, it.not_found, it.closed, it.refunded, *(Response(0, (), body) for body in (b"", b"{}", b"<html>"))]
    for answer in said:
        for status in (500, 502, 503, 504):
            response = msgspec.structs.replace(answer, status=status)
            assert {Unknown} == {type(exchange.read(response, it.now)) for exchange in it.deeds()}
            assert {Unknown, Retryable} >= {type(exchange.read(response, it.now)) for exchange in it.questions()}


# Bills ------------------------------------------------------------------------------------------------------------


def a_bill_lies_at_the_channel(it: Specimen) -> None:
    """Where a bill is, the channel says, and the download can be sent as it stands, over TLS."""
    found = success(it.asked(it.billing.at)).bill
    assert isinstance(found, BillAt)
    request = found.download
    assert ("GET", b"", "https://", "/") == (request.method, request.body, request.base_url[:8], request.target[:1])
    lines = (request.target, *(part for pair in request.headers for part in pair))
    assert [] == [line for line in lines if not line.isascii() or not line.isprintable()]
    assert it.billing.proof == found.proof


def a_bill_lies_nowhere_else(it: Specimen) -> None:
    """An address that is not the channel's is not followed: some downloads carry our key."""
    assert isinstance(it.asked(it.billing.elsewhere), Unknown | Retryable)


def a_bill_that_comes_is_not_one_that_is_not(it: Specimen) -> None:
    """A bill that is being made, and a day that has none, are told apart, and neither is an error."""
    young = msgspec.structs.replace(it.billing.name, day=it.now.date())
    day_ends = day_in(it.channel.bill_zone(it.account), it.now.date())[1]
    assert it.now < day_ends < it.channel.bill_ready_at(young.day, it.account)
    if it.billing.coming is not None:
        assert isinstance(success(it.asked(it.billing.coming)).bill, BillComing)
    if it.billing.none is not None:
        early = it.channel.ask_bill(young, it.account, it.now).read(it.billing.none, it.now)
        assert [NoBill, BillComing] == [type(success(told).bill) for told in (it.asked(it.billing.none), early)]


def a_bill_says_what_was_paid_and_given_back(it: Specimen) -> None:
    """Payment and refund apart, exact amounts with their sign, our numbers and the channel's, times with their zone."""
    paid, back = sorted(it.bill(it.billing.file).lines(), key=lambda line: line.kind)
    assert [LineKind.PAYMENT, LineKind.REFUND] == [paid.kind, back.kind]
    assert [(1250, it.payment.money.currency), (-500, it.payment.money.currency)] == [
        (line.amount_minor, line.currency) for line in (paid, back)
    ]
    assert ["pay1", "pay1", "ref1"] == [paid.merchant_ref, back.merchant_ref, back.merchant_refund_ref]
    assert paid.channel_txn_id == back.channel_txn_id is not None
    assert paid.fee_minor == paid.amount_minor - paid.net_minor > 0
    assert {it.billing.name.day} == {
        line.occurred_at.astimezone(it.channel.bill_zone(it.account)).date() for line in (paid, back)
    }
    assert all(line.raw and line.number > 1 for line in (paid, back))


def a_bill_can_be_read_again(it: Specimen) -> None:
    """The lines come again in the same order, and add up to the bill's totals."""
    bill = it.bill(it.billing.file)
    first, second = list(bill.lines()), list(bill.lines())
    assert (first, len(first)) == (second, bill.totals.lines)
    assert sum(line.net_minor for line in first) == sum(sums.net_minor for sums in bill.totals.sums.values())


def a_bill_cut_off_anywhere_is_refused(it: Specimen) -> None:
    """Whatever is missing at the end of the file, none of it is used."""
    whole = it.billing.file
    assert [] == [size for size in range(len(whole)) if it.bill_fault(whole[:size]) is None]


def a_changed_bill_is_refused_or_says_the_same(it: Specimen) -> None:
    """A byte that is changed on the way changes no line, where the channel gives a hash or a checksum at all."""
    if it.billing.proof.size_bytes is not None:
        return  # Stripe's CSV has neither: TLS alone keeps it
    whole, honest = it.billing.file, list(it.bill(it.billing.file).lines())
    for at in range(0, len(whole), 3):
        file = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
        assert it.bill_fault(file) is not None or honest == list(it.bill(file).lines())


def another_merchants_or_days_bill_is_refused(it: Specimen) -> None:
    """A bill of somebody else, or of another day, is refused by its reason."""
    found = {fault: it.bill_fault(file, BillProof()) for fault, file in it.billing.others.items()}
    assert {fault: fault for fault in it.billing.others} == found


def what_is_no_bill_is_refused(it: Specimen) -> None:
    """Whatever the bytes are, reading them as a bill refuses and raises nothing else."""

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(file=st.binary(max_size=300), head=st.sampled_from((b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"#")))
    def holds(file: bytes, head: bytes) -> None:
        assert it.bill_fault(head + file, BillProof()) is not None

    holds()


def a_mangled_bill_raises_nothing_else(it: Specimen) -> None:
    """A bill with a piece of it replaced is refused, or read; it never raises anything else."""

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(at=st.integers(0, len(it.billing.file)), size=st.integers(0, 9), piece=st.binary(max_size=9))
    def holds(at: int, size: int, piece: bytes) -> None:
        file = it.billing.file[:at] + piece + it.billing.file[at + size :]
        assert it.bill_fault(file, BillProof()) in {None, *BillFault}

    holds()


def success(outcome: Outcome | Declined) -> Success:
    assert isinstance(outcome, Success), outcome
    return outcome


CLAIMS: tuple[Callable[[Specimen], None], ...] = (
    an_account_names_itself,
    a_misspelt_name_is_told_with_the_nearest,
    a_missing_file_is_told,
    a_broken_or_empty_file_is_told,
    keys_are_shown_without_their_secrets,
    each_happening_has_its_meaning,
    evidence_says_whose_and_how_much,
    refund_evidence_names_the_refund,
    another_receiver_is_evidence_not_a_refusal,
    reading_twice_says_the_same,
    different_happenings_have_different_keys,
    evidence_can_be_stored,
    a_forged_callback_is_refused,
    a_changed_byte_changes_nothing_or_is_refused,
    a_callback_without_its_headers_or_body_is_refused,
    a_header_given_twice_is_refused,
    a_flood_of_bytes_is_refused,
    hostile_bytes_are_refused_and_nothing_else,
    mangled_callbacks_never_raise_anything_else,
    only_stored_callbacks_are_acknowledged,
    requests_go_to_the_account_and_can_be_sent,
    each_method_gives_what_the_device_needs,
    a_method_without_what_it_needs_is_refused,
    a_refund_goes_out_under_one_number,
    a_query_tells_what_a_callback_tells,
    the_same_answer_later_is_a_repeat,
    an_unknown_payment_is_not_a_failed_one,
    an_answer_about_another_payment_proves_nothing,
    closing_is_proven_by_the_channel,
    a_refund_is_told_by_its_own_number,
    hostile_answers_prove_nothing,
    trouble_at_the_channel_is_never_final,
    a_bill_lies_at_the_channel,
    a_bill_lies_nowhere_else,
    a_bill_that_comes_is_not_one_that_is_not,
    a_bill_says_what_was_paid_and_given_back,
    a_bill_can_be_read_again,
    a_bill_cut_off_anywhere_is_refused,
    a_changed_bill_is_refused_or_says_the_same,
    another_merchants_or_days_bill_is_refused,
    what_is_no_bill_is_refused,
    a_mangled_bill_raises_nothing_else,
)
