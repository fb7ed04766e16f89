"""Every payment reaches its order exactly once.

``from paidup import Paidup`` to embed it; `paidup --help` to run it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paidup.app import Paidup

__version__ = "0.1.0"
__all__ = ["Paidup", "__version__"]


def __getattr__(name: str) -> object:
    """Load the application only for those who embed it, so that `paidup --help` stays quick."""
    if name == "Paidup":
        from paidup.app import Paidup  # noqa: PLC0415

        return Paidup
    raise AttributeError(f"module 'paidup' has no attribute {name!r}")
