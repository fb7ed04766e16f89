"""`python -m paidup`."""

from paidup.cli import main

main()
