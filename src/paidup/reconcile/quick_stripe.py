"""Stripe's balance report for the quick reader."""

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from paidup.channels.bill import LineKind
from paidup.channels.bill_file import Plain, csv_rows, must_name_once
from paidup.channels.stripe.bill import COLUMNS, KINDS, OF_REFUNDS, OUR_NUMBERS
from paidup.evidence import MAX_NUMBER_CHARS
from paidup.money import WITH_THREE_DECIMALS, WITHOUT_DECIMALS
from paidup.reconcile.quick import AT

_AMOUNT = "-?[0-9]{1,12}([.][0-9]{1,3}0{0,2})?"
_FORM = f"{AT}[|][A-Za-z]{{3}}([|]{_AMOUNT}){{3}}"


class StripeTrades:
    """The report of what changed the balance; its columns stand in any order, with others among them."""

    encoding, tail, delimiter, quote = "utf-8", "", ",", '"'
    sums: Sequence[str] = ("NULL",)
    line = """kind, word, currency, amount, fee, net, "at", txn, ref, rid, rref"""

    def plain(self, file: BinaryIO) -> Plain:
        """The file as it is."""
        file.seek(0)
        return file

    def names(self, line: str) -> Sequence[str]:
        """Of the first line. Raises BillRefused when a column is missing."""
        _, _, names = next(csv_rows(iter([(1, line)])))
        must_name_once(names, COLUMNS)
        return names

    def parameters(self) -> Mapping[str, str]:
        """None: the file does not say whose it is."""
        return {}

    def rows(self, place: Mapping[str, str]) -> str:
        """Each column with its type, amounts in minor units of each line's currency."""
        (entry, at, currency, gross, fee, net, word, source, charge, intent), (ref, refund_ref) = (
            [place.get(column, "''") for column in columns] for columns in (COLUMNS, OUR_NUMBERS)
        )
        numbers = (entry, source, charge, intent, ref, refund_ref)
        form = f"regexp_full_match(concat_ws('|', {at}, {currency}, {gross}, {fee}, {net}), '{_FORM}')"
        short = " AND ".join(f"length({cell}) <= {MAX_NUMBER_CHARS}" for cell in numbers)
        thousandths = {"gross": gross, "charged": fee, "left_over": net}
        of_refund = _one_of(OF_REFUNDS)
        return f"""upper({currency}) AS currency, nullif({word}, '') AS word,
        CASE WHEN currency IN ({_quoted(WITHOUT_DECIMALS)}) THEN 1000
          WHEN currency IN ({_quoted(WITH_THREE_DECIMALS)}) THEN 1 ELSE 10 END AS step,
        {", ".join(f"({cell}::DECIMAL(18,3) * 1000)::BIGINT AS {name}" for name, cell in thousandths.items())},
        {form} AND {short} AND gross - charged = left_over AND gross % step = 0 AND charged % step = 0 AS is_certain,
        CASE {word} {" ".join(f"WHEN '{its}' THEN '{kind}'" for its, kind in KINDS.items())} ELSE 'unknown' END AS kind,
        left_over // step AS net, CASE kind WHEN 'fee' THEN 0 ELSE gross // step END AS amount,
        CASE kind WHEN 'fee' THEN -net ELSE charged // step END AS fee,
        epoch({at}::TIMESTAMP)::BIGINT AS "at",
        coalesce({_given(intent)}, {_given(charge)}, CASE WHEN kind NOT IN ({of_refund}) THEN {_given(source)} END)
        AS txn, {_given(ref)} AS ref, CASE WHEN kind IN ({of_refund}) THEN {_given(source)} END AS rid,
        CASE WHEN kind IN ({of_refund}) THEN {_given(refund_ref)} END AS rref"""

    def stated(self, frame: Iterator[tuple[int, str]], sums: Sequence[int]) -> Mapping[str, str]:  # noqa: ARG002
        """It states nothing of itself."""
        return {}


def _given(cell: str) -> str:
    """SQL: NULL where nothing is given."""
    return f"nullif({cell}, '')"


def _quoted(words: frozenset[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


def _one_of(kinds: Sequence[LineKind]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)
