"""Lengths of time in words."""


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
