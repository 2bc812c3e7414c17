"""Texts that others wrote, as our pages show them."""

# Characters that turn the direction of what follows them, on our page as well: U+061C, U+200E to U+2069.
_BIDI_CONTROLS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def remove_bidi_controls(text: str) -> str:
    """Return the text without the characters that would turn the line around in which it is shown."""
    return text.translate(_BIDI_CONTROLS)
