"""Numbers as reports write them."""


def percent(share: float, *, digits: int = 1) -> str:
    """A share as the site writes it: 0.102 becomes "10.2 %"."""
    return f"{100 * share:.{digits}f} %"
