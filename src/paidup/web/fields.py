"""What a field of a body may hold, and the bodies that refuse a field that they do not know."""

from typing import Annotated

import msgspec
from msgspec import Meta

# PostgreSQL keeps no NUL in a text; a line keeps no control characters at all. Python's $ would let a line end pass at
# the very end; the same pattern stands in the OpenAPI document, whose readers know no \Z.
Minor = Annotated[int, Meta(gt=0, le=10**15, description="minor units: fen, cents; yen has none")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217, such as CNY")]
Line = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Name = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9_-]+$(?!\n)")]
Number = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
ChannelNumber = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
"""What names a payment at its channel: a Checkout Session's id has 66 characters; Stripe allows itself 255."""
Buyer = Annotated[
    str,
    Meta(
        max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)",
        description="the shop's own number of its customer: personal data, shown masked, found by the search",
    ),
]  # fmt: skip
Id = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[0-9A-Za-z_-]+$(?!\n)")]
Said = Annotated[str, Meta(min_length=3, max_length=1000, pattern=r"^[^\x00]*$")]
Extra = Annotated[
    dict[Line, Annotated[str, Meta(max_length=2048, pattern=r"^[^\x00]*$")]],
    Meta(max_length=20, description="what the method needs, such as openid or return_url"),
]
SkuName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)", description="the shop's own name of an article")
]
Units = Annotated[int, Meta(ge=0, le=10**12)]
Lifetime = Annotated[int, Meta(ge=60, le=2_592_000, description="seconds until it expires unpaid")]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are refused: a misspelt one would be silently without effect."""
