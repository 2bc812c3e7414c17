"""What the catalogue knows of labels: that there is a current one for each product, and whom to tell of a change.

How a label comes about is decided elsewhere: whoever decides registers that here when the site starts.
"""

from collections.abc import Callable

_refreshers: list[Callable[[], int]] = []


def register_refresh(refresh: Callable[[], int]) -> None:
    """Let `refresh` bring labels up to date after the catalogue changed; it returns how many products it touched."""
    _refreshers[:] = [refresh]


def refresh_labels() -> int:
    """Bring the labels up to date after the catalogue changed; return how many products were touched."""
    return sum(refresh() for refresh in _refreshers)
