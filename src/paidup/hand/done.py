"""What became of a deed."""

from typing import Literal

import msgspec


class Done(msgspec.Struct, frozen=True):
    """state: done; already (nothing was left to do); or waiting for a second person, as approval_id."""

    state: Literal["done", "already", "waiting"]
    says: str
    approval_id: str | None = None
    subject_id: str | None = None
