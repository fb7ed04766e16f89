"""The proof that can be run at any time: what is written about each order must agree, to the row and to the cent."""

from paidup.verify.check import Check, Report
from paidup.verify.run import verify

__all__ = ["Check", "Report", "verify"]
