"""``python -m streams`` is the command ``bank-triggers``."""

from streams.cli import main

main()
