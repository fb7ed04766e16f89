"""Tables as people read them."""

import pytest

from paidup.cli.output import emit


def test_a_list_in_a_table_is_written_as_people_write_lists(capsys: pytest.CaptureFixture[str]) -> None:
    """Scopes and event types, with commas and without brackets; nothing is nothing."""
    emit([{"scopes": ["read", "write"], "types": ("order.paid",), "revoked": None}], as_json=False)
    assert ["scopes", "types", "revoked", "read,", "write", "order.paid"] == capsys.readouterr().out.split()
