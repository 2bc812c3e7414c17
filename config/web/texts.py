"""Texts that others wrote, as our pages show them."""

# Characters that turn the direction of what follows them, on our page as well: U+061C, U+200E to U+2069.
_BIDI_CONTROLS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def remove_bidi_controls(text: str) -> str:
    """Return the text without the characters that would turn the line around in which it is shown."""
    return text.translate(_BIDI_CONTROLS)


def format_duration(seconds: float) -> str:
    """Return a length of time in its two largest units: 4000 becomes "1 h 06 min", 75 becomes "1 min 15 s"."""
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    if days:
        return f"{days} d {hours % 24:02} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    if minutes:
        return f"{minutes} min {whole % 60:02} s"
    return f"{whole} s"
