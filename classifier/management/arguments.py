"""Types of command-line arguments."""

from argparse import ArgumentTypeError


def positive_integer(text: str) -> int:
    """A whole number of at least 1. Raises `ArgumentTypeError`, which argparse reports as bad usage (exit 2)."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"expected a whole number of at least 1, received {text!r}")
    return int(text)
