"""A catalogue file as text: its encoding, found by its bytes, and its lines, numbered and of bounded length."""

import codecs
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Final

from charset_normalizer import from_bytes

from catalog.values import RecordError

#: A longer line is refused without being read into memory.
MAX_LINE_CHARACTERS: Final = 1_048_576
CHUNK_BYTES: Final = 65_536
#: Encodings by Python's name -> the name that people choose them by.
ENCODINGS: Final = {
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 (little endian)",
    "utf-16-be": "UTF-16 (big endian)",
    "cp1252": "Windows-1252 (Western Europe)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "mac_roman": "Mac Roman",
    "cp850": "MS-DOS 850",
    "cp932": "Shift-JIS",
    "gb18030": "GB 18030",
    "big5": "Big5",
    "cp949": "Korean (949)",
}
# What a short sample tells apart, and what only says that one of them it must be.
_TOLD_APART: Final = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254")
_EAST_ASIAN: Final = ("cp932", "gb18030", "big5", "cp949")

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAVE_AS: Final = "in the spreadsheet program save it as CSV UTF-8"
_PICTURES: Final = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")
# How files begin that are no text, and what of their first bytes tells more.
_FOREIGN: Final = (
    (b"\x1f\x8b", b"", "a gzip file; unpack it first"),
    (b"PK\x03\x04", b"xl/", f"an Excel workbook; {_SAVE_AS}"),
    (b"PK\x03\x04", b"[Content_Types].xml", f"an Excel workbook; {_SAVE_AS}"),
    (b"PK\x03\x04", b"opendocument", f"an OpenDocument spreadsheet; {_SAVE_AS}"),
    (b"PK\x03\x04", b"Index/", f"a Numbers document; {_SAVE_AS}"),
    (b"PK\x03\x04", b"", "a zip file; unpack it first"),
    (b"\xd0\xcf\x11\xe0", b"", f"an Excel workbook; {_SAVE_AS}"),
    *((magic, b"", "a picture; pictures come in a ZIP, beside the catalogue") for magic in _PICTURES),
    (b"%PDF", b"", "a PDF document; export the catalogue as CSV"),
    (b"{\\rtf", b"", "a text document; export the catalogue as CSV"),
)
_MARKUP: Final = re.compile(r"<(?:!doctype|[?a-z])", re.IGNORECASE)
_ESCAPED: Final = re.compile("[\udc80-\udcff]")
_BEYOND_ASCII: Final = re.compile("[^\x00-\x7f\udc80-\udcff]")
_ODD_WORD: Final = re.compile(r"\w*[^\W\x00-\x7f]\w*")
#: In East Asian encodings a sign has two bytes, and words have several signs; elsewhere most letters are ASCII.
_SIGNS_OF_TWO_BYTES: Final = re.compile(rb"[\x80-\xff]{3}")
_SHOWN_WORDS: Final = 3
_SAMPLE_BYTES: Final = 32_768


class SourceError(Exception):
    """The file as a whole cannot be read; the message says what was expected and what was received."""


def expect_bounded(characters: int) -> None:
    """Raise `RecordError` for a row of so many characters that it is too long."""
    if characters >= MAX_LINE_CHARACTERS:
        raise RecordError(f"expected less than {MAX_LINE_CHARACTERS:,} characters in a row, received more")


def _mark_undecodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Read bytes that are no text as a lone surrogate, which no value may have, and write such a one as `?`."""
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    if isinstance(error, UnicodeEncodeError):
        return "?" * (error.end - error.start), error.end
    raise error


codecs.register_error("catalogue", _mark_undecodable)


def get_error_handler(encoding: str) -> str:
    """Return the codec error handler by which files of this encoding are read and written."""
    return "surrogateescape" if encoding == "utf-8-sig" else "catalogue"


def open_lines(stream: io.BufferedReader, *, encoding: str = "") -> "Lines":
    """Return the lines of the stream, in the encoding that is given or found.

    A stream that can be rewound is looked through as a whole, of another only what it gives first. Raises `SourceError`
    for what is no text.
    """
    start = stream.tell() if stream.seekable() else 0
    if stream.seekable():
        head = stream.read(CHUNK_BYTES)
        stream.seek(start)
        chunks: Iterable[bytes] = iter(partial(stream.read, CHUNK_BYTES), b"")
    else:
        head = stream.read(CHUNK_BYTES)
        chunks = [head]
        stream = io.BufferedReader(_Rejoined(head, stream))
    for magic, part, words in _FOREIGN:
        if head.startswith(magic) and part in head[:4096]:
            raise SourceError(f"expected CSV or JSON Lines, received {words}")
    found, doubt = (encoding, "") if encoding else _find_encoding(head, chunks)
    if stream.seekable():
        stream.seek(start)
    text = io.TextIOWrapper(stream, encoding=found, errors=get_error_handler(found), newline="")
    begin = head.decode(found, errors="replace").lstrip("\ufeff \t\r\n")
    if _MARKUP.match(begin):
        raise SourceError("expected CSV or JSON Lines, received HTML or XML; export the catalogue as CSV")
    return Lines(text, begin=begin, encoding=found, doubt=doubt)


class _Rejoined(io.RawIOBase):
    """A stream of which the first bytes were read already."""

    def __init__(self, head: bytes, rest: io.BufferedReader) -> None:
        self._head, self._rest = memoryview(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._head[: len(buffer)] if self._head else self._rest.read1(len(buffer))
        self._head = self._head[len(part) :]
        buffer[: len(part)] = part
        return len(part)


@dataclass(slots=True)
class _Tally:
    """Letters beyond ASCII as UTF-8 has them, bytes that are none, and some lines with such bytes."""

    letters: int = 0
    broken: int = 0
    sample: bytes = b""

    def count(self, chunks: Iterable[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        for chunk in chunks:
            text = decoder.decode(chunk)
            if text.isascii():
                continue
            self.letters += len(_BEYOND_ASCII.findall(text))
            broken = len(_ESCAPED.findall(text))
            self.broken += broken
            if broken and len(self.sample) < _SAMPLE_BYTES:
                self.sample += b"".join(line for line in chunk.splitlines(keepends=True) if not line.isascii())


def _find_encoding(head: bytes, chunks: Iterable[bytes]) -> tuple[str, str]:
    """Return the encoding, and where it was guessed the words to look at.

    It is told by a byte-order mark, by NUL bytes or by being valid UTF-8; else the likeliest is taken, which is
    Windows-1252 as long as nothing speaks for another. Raises `SourceError` for East Asian text, of which a sample says
    too little.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, ""
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = head[:400][first::2]
        if half.count(0) > 0.8 * len(half) > 4:
            return encoding, ""
    tally = _Tally()
    tally.count(chunks)
    # A few bytes that are wrong in a file that is UTF-8 otherwise cost their rows, not all the others' letters.
    if tally.letters >= tally.broken:
        return "utf-8-sig", ""
    encoding = _guess_encoding(tally.sample[:_SAMPLE_BYTES])
    words = _ODD_WORD.findall(tally.sample.decode(encoding, errors="replace"))
    return encoding, ", ".join(dict.fromkeys(words[:_SHOWN_WORDS]))


def _guess_encoding(sample: bytes) -> str:
    if b"\r" in sample and b"\n" not in sample:
        return "mac_roman"
    likely = [*_TOLD_APART, *(_EAST_ASIAN if _SIGNS_OF_TWO_BYTES.search(sample) else ())]
    matches = from_bytes(sample, cp_isolation=likely, enable_fallback=False)
    best = matches.best()
    if best is None:
        return "cp1252"
    if best.encoding in _EAST_ASIAN:
        raise SourceError(
            "expected UTF-8 text, received what may be Shift-JIS, GB 18030, Big5 or Korean; save the file as CSV "
            "UTF-8, or say its encoding"
        )
    western = next((match for match in matches if "cp1252" in match.could_be_from_charset), None)
    is_as_good = western is not None and (western.chaos, western.coherence) == (best.chaos, best.coherence)
    return "cp1252" if is_as_good else best.encoding


class Lines:
    """Numbered lines of a text, of bounded length, that can be handed back.

    A line ends at CR, LF or CRLF. A byte that is no text becomes a lone surrogate, so that only its row is refused.
    """

    def __init__(self, text: IO[str], *, begin: str, encoding: str, doubt: str) -> None:
        self._text = text
        self._handed_back: deque[str] = deque()
        #: Some of the text, from its first letter on.
        self.begin = begin
        #: Python's name, and words by which a person sees whether the guess is right; empty where it is none.
        self.encoding, self.doubt = encoding, doubt
        self.number = 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        """Return the next line, its end included, or the first `MAX_LINE_CHARACTERS` of a longer one.

        One that is cut short has as many quotes as it had, or one less than an even number.
        """
        if self._handed_back:
            self.number += 1
            return self._handed_back.popleft()
        line = self._text.readline(MAX_LINE_CHARACTERS)
        if not line:
            raise StopIteration
        self.number += 1
        rest, quotes = line, 0
        while len(rest) == MAX_LINE_CHARACTERS and rest[-1] not in "\r\n":
            rest = self._text.readline(MAX_LINE_CHARACTERS)
            quotes += rest.count('"')
        return line + '"' * (quotes % 2)

    def hand_back(self, lines: list[str]) -> None:
        """Put the last lines back, so that they are read again."""
        self.number -= len(lines)
        self._handed_back.extendleft(reversed(lines))

    def read_chunks(self) -> Iterator[str]:
        """Yield what is left, whatever its lines."""
        while self._handed_back:
            yield self._handed_back.popleft()
        yield from iter(partial(self._text.read, CHUNK_BYTES), "")
