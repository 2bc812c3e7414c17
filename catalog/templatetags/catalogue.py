"""What the catalogue's templates need besides Django's own tags."""

from django import template

from catalog.links import get_thumbnail_path

register = template.Library()


@register.filter
def percent(probability: float, digits: int = 1) -> str:
    """Return a probability as a percentage: 0.9347 becomes "93.5 %"."""
    return f"{100 * probability:.{digits}f} %"


@register.filter
def bar_width(probability: float) -> str:
    """Return the width of a bar in an SVG that is 100 units wide; a dot in it whatever the language of the page."""
    return f"{100 * probability:.2f}"


@register.filter
def thumbnail_path(sha256: str) -> str:
    """Return the path of our copy of the picture with this content hash."""
    return get_thumbnail_path(sha256)
