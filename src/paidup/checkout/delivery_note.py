"""A CSV file of articles and units: all of it is taken in, or none, and the same file twice only once.

The columns are `sku` and `quantity` (units to put in; 0 or empty: none), and any of `name`, `unlimited`,
`preorder_limit` and `low_at`. An article that is not there is made; of one that is there, only what has a column is
changed.
"""

import csv
import hashlib
import io
from datetime import datetime

import msgspec

from paidup.checkout.warehouse import Change, Described, change, put_sku
from paidup.db.transaction import Tx
from paidup.errors import InvalidRequest
from paidup.inventory import store as inventory
from paidup.inventory.states import Kind

COLUMNS = ("sku", "quantity", "name", "unlimited", "preorder_limit", "low_at")
MAX_ROWS = 10_000
MAX_BYTES = 16 << 20


class Line(msgspec.Struct, frozen=True):
    """A row of the file: its line, and its cells by the name of their column."""

    number: int
    cells: dict[str, str]

    def units(self, name: str, *, least: int = 0) -> int | None:
        """A whole number; None when the cell is empty. Raises InvalidRequest naming the line."""
        text = self.cells.get(name, "").strip()
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) < least:
            raise InvalidRequest(f"line {self.number}: {name} must be a whole number, not {text[:40]!r}")
        return int(text)

    def yes(self, name: str) -> bool:
        """true or false (or empty). Raises InvalidRequest naming the line."""
        text = self.cells.get(name, "").strip().lower()
        if text not in ("", "true", "false"):
            raise InvalidRequest(f"line {self.number}: {name} must be true or false, not {text[:40]!r}")
        return text == "true"


def read(data: bytes) -> list[Line]:
    """The lines of a file. Raises InvalidRequest naming the line that is wrong; nothing of the file is used then."""
    if len(data) > MAX_BYTES:
        raise InvalidRequest(f"the file has more than {MAX_BYTES >> 20} MiB; split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the file is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    rows = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        _must_be_known(header)
        found = [_line(number, header, row) for number, row in enumerate(rows, start=2) if any(map(str.strip, row))]
    except csv.Error as error:
        raise InvalidRequest(f"line {rows.line_num}: not CSV: {error}") from None
    if len(found) > MAX_ROWS:
        raise InvalidRequest(f"the file has more than {MAX_ROWS} lines; split it")
    return found


def _must_be_known(header: list[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown or "sku" not in header or len(set(header)) != len(header):
        raise InvalidRequest(
            f"line 1: columns are {', '.join(COLUMNS)}, of which sku must be there, each once; found "
            f"{', '.join(header)[:200] or 'none'}"
        )


def _line(number: int, header: list[str], row: list[str]) -> Line:
    if len(row) != len(header):
        raise InvalidRequest(f"line {number}: {len(row)} cells under {len(header)} columns")
    return Line(number, dict(zip(header, row, strict=True)))


async def take_in(tx: Tx, shop: str, data: bytes, *, operator: str, now: datetime) -> tuple[int, int]:
    """Make and change articles, and put units in; gives how many lines there were, and how many units were put in now.

    Raises InvalidRequest or Conflict; then nothing of the file was used.
    """
    lines, digest = read(data), hashlib.sha256(data).hexdigest()
    put_in = 0
    # All at once, in the order of everybody else: so nobody waits in a circle.
    await inventory.lock(tx, [(shop, line.cells["sku"].strip()) for line in lines])
    for line in sorted(lines, key=lambda line: (line.cells["sku"], line.number)):
        sku = line.cells["sku"].strip()
        known = await inventory.get(tx, shop, sku)
        if known is None or len(line.cells) > len({"sku", "quantity"} & set(line.cells)):
            await put_sku(tx, _described(line, shop, sku, msgspec.structs.asdict(known) if known else None), now)
        quantity = line.units("quantity")
        if not quantity:
            continue
        key = f"csv/{digest}/{line.number}"
        put_in += 0 if await inventory.done_before(tx, shop, sku, key) else quantity
        note = Change(
            shop=shop, sku=sku, kind=Kind.RESTOCK, quantity=quantity, reason=f"CSV file, line {line.number}",
            operator=operator, key=key,
        )  # fmt: skip
        await change(tx, note, now)
    return len(lines), put_in


def _described(line: Line, shop: str, sku: str, known: dict[str, object] | None) -> Described:
    """What the line says of the article, over what is known of it."""
    fields = {name: known[name] for name in Described.__struct_fields__} if known else {"shop": shop, "sku": sku}
    says: dict[str, object] = {
        "name": line.cells.get("name", "").strip(),
        "unlimited": line.yes("unlimited"),
        "preorder_limit": line.units("preorder_limit") or 0,
        "low_at": line.units("low_at"),
    }
    return msgspec.convert(fields | {name: value for name, value in says.items() if name in line.cells}, Described)
