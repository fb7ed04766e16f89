"""Tests of whole journeys use a shop at a real channel."""

import pytest

from merchant import merchant, world
from transaction_side import shop

__all__ = ["merchant", "shop", "world"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked as a longer fault run is started by `make fault` (or -m fault), and by nothing else."""
    if "fault" not in config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("fault")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
