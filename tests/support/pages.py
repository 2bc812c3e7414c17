"""What the pages of docs/ say to type or to write into a file: their indented blocks."""

import re
from textwrap import dedent

from tests.support.light import REPOSITORY

_BLOCK = re.compile(r"^    .*\n(?:(?:    .*)?\n)*", re.MULTILINE)


def list_blocks(page: str) -> list[str]:
    """Return the indented blocks of a page such as `scale.md`, without what indents them."""
    return [dedent(block).strip() for block in _BLOCK.findall((REPOSITORY / "docs" / page).read_text())]


def read_block(page: str, begin: str) -> str:
    """Return the one block of the page that begins with these words."""
    (block,) = (block for block in list_blocks(page) if block.startswith(begin))
    return block
