"""What the catalogue's templates need besides Django's own tags."""

from datetime import datetime

from django import template
from django.template.defaultfilters import date as date_format
from django.urls import reverse
from django.utils.html import conditional_escape, format_html

from catalog.pictures.storage import get_thumbnail_path
from config import VERSION
from config.web.texts import extract_text

register = template.Library()


@register.filter
def percent(probability: float | str | None, digits: int = 1) -> str:
    """Return a probability as a percentage: 0.9347 becomes "93.5 %", and what is not known a dash."""
    return f"{100 * probability:.{digits}f} %" if isinstance(probability, int | float) else "\N{EN DASH}"


@register.filter
def bar_width(probability: float) -> str:
    """Return the width of a bar in an SVG that is 100 units wide; a dot in it whatever the language of the page."""
    return f"{100 * probability:.2f}"


@register.filter
def bar_top(share: float) -> str:
    """Return where a standing bar of this share begins in an SVG that is 100 units high."""
    return f"{100 * (1 - share):.2f}"


@register.filter
def decimal(value: float, digits: int = 2) -> str:
    """Return a number for an SVG's attribute or a text, with a dot whatever the language of the page."""
    return f"{value:.{digits}f}"


@register.filter
def magnitude(value: float) -> float:
    """Return a number without its sign."""
    return abs(value)


@register.filter
def thousands(number: int) -> str:
    """Return a whole number with its thousands set apart: 1234567 becomes "1,234,567"."""
    return f"{number:,}"


register.filter("thumbnail_path", get_thumbnail_path)


@register.filter
def plain_text(markup: str | None) -> str:
    """Return a text of a catalogue without the HTML that shops write into it; nothing for none."""
    return extract_text(markup or "")


@register.simple_tag
def product_version() -> str:
    """Return the version of the product."""
    return VERSION


@register.simple_tag
def moment(at: datetime | None, style: str = "j M Y, H:i") -> str:
    """Return a time in UTC, which is named, or a dash for none.

    `site.js` shows it in the reader's zone, with as much of it as is here.
    """
    if at is None:
        return "\N{EN DASH}"
    return format_html('<time datetime="{}">{} UTC</time>', at.isoformat(), date_format(at, style))


@register.simple_tag
def link_if(may_see: bool, text: str, view: str, *arguments: object) -> str:
    """Return the text as a link to the page of this view, or the text alone for who may not see that page."""
    if not may_see:
        return conditional_escape(text)
    return format_html('<a href="{}">{}</a>', reverse(view, args=arguments), text)
