"""A response's header as browsers read it, where hosts write it otherwise than the parser takes it."""

import re

PREFIX = b"HTTP/"
_END = re.compile(rb"\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def find_end(data: bytes) -> int | None:
    """Return where the header ends that the data begin with, behind its empty line; None if that is not there yet."""
    end = _END.search(data)
    return end.end() if end else None


def mend_header(header: bytes) -> bytes:
    """Return the header, from status line to empty line, with nothing in it that browsers pass over.

    Lines that name no header are left out, folded lines made one, blanks before a colon dropped, and a length that is
    said several times alike is said once. What contradicts itself stays, for the parser to refuse.
    """
    status, _, rest = header.partition(b"\n")
    lines = [status.rstrip(b"\r")]
    lengths: set[bytes] = set()
    for line in _FOLD.sub(b" ", rest).split(b"\n"):
        name, colon, value = line.rstrip(b"\r").partition(b":")
        name = name.strip(b" \t")
        if not colon or not _NAME.fullmatch(name):
            continue
        if name.lower() == b"content-length":
            said = {part.strip(b" \t") for part in value.split(b",")}
            if said == lengths:
                continue
            lengths = said
            value = b" " + b", ".join(said)
        lines.append(name + b":" + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"
