"""Text in requests: names in paths, and bodies, where JSON can escape half a character."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, Field, StrictStr

from runtime.contract import LONGEST_TEXT


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"half a surrogate pair at character {exc.start}") from None
    return text


UnicodeText = Annotated[StrictStr, AfterValidator(_whole)]
ValueText = Annotated[StrictStr, Field(max_length=LONGEST_TEXT), AfterValidator(_whole)]
Comment = Annotated[StrictStr, Field(max_length=500), AfterValidator(_whole)]
TagPath = Annotated[str, Path(max_length=1024, description="whole, or relative to the plant's root")]
AlarmName = Annotated[str, Path(min_length=1, max_length=128)]
ComponentName = Annotated[str, Path(min_length=1, max_length=128)]
