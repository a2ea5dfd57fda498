"""Text in request bodies: JSON can escape half a character, which no store can keep."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StrictStr


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"half a surrogate pair at character {exc.start}") from None
    return text


UnicodeText = Annotated[StrictStr, AfterValidator(_whole)]
Comment = Annotated[UnicodeText, Field(max_length=500)]
