"""Screens as SVG files that look like the terminal: the export of Textual, mended."""

from __future__ import annotations

import re
from html import escape, unescape
from itertools import groupby

from rich.cells import cell_len

_FONT = re.compile(r"@font-face\s*{[^}]*}\s*")
_TEXT = re.compile(
    r'<text class="([^"]*)" x="([^"]*)" y="([^"]*)" textLength="([^"]*)"([^>]*)>([^<]*)</text>'
)


def mend(svg: str) -> str:
    """Take out fonts that would load from elsewhere, and give double-width characters their two cells.

    The export makes a text as long as it has characters; a Chinese one is twice that.
    """
    return _TEXT.sub(_spread, _FONT.sub("", svg))


def _spread(match: re.Match[str]) -> str:
    style, x, y, length, rest, content = match.groups()
    text = unescape(content)
    if not text or cell_len(text) == len(text):
        return match.group()
    cell = float(length) / len(text)
    left = float(x)
    out = []
    for _, run in groupby(text, cell_len):
        part = "".join(run)
        width = cell * cell_len(part)
        shown = escape(part).replace(" ", "&#160;")
        out.append(f'<text class="{style}" x="{left:g}" y="{y}" textLength="{width:g}"{rest}>{shown}</text>')
        left += width
    return "".join(out)
