"""Asking: frames that a debugger finds, and calls of it, as LLVM text."""

from __future__ import annotations

from softplc import ir
from softplc.lower.sites import (
    CALLBACK,
    FRAME_LOCAL,
    FRAME_PREVIOUS,
    FRAME_SELF,
    FRAME_SITE,
    FRAME_SIZE,
    FRAME_UNIT,
    HEAD,
)


def entered(routine: ir.Routine, debug: int) -> list[str]:
    """Return what makes the frame of a routine the innermost one; a task begins without frames."""
    head = f"  %frame.head = getelementptr inbounds i8, ptr %img, i64 {debug + HEAD}"
    if debug >= 0 and routine.exported:
        return [head, "  store ptr null, ptr %frame.head, align 8"]
    if routine.frame < 0:
        return []
    lines = [f"  %frame = alloca [{FRAME_SIZE} x i8], align 16", head]
    lines.append("  %frame.previous = load ptr, ptr %frame.head, align 8")
    for name, offset, value in (
        ("back", FRAME_PREVIOUS, "ptr %frame.previous"),
        ("unit", FRAME_UNIT, f"i32 {routine.frame}"),
        ("site", FRAME_SITE, "i32 -1"),
        ("self", FRAME_SELF, "ptr %self"),
        ("own", FRAME_LOCAL, "ptr %local" if routine.local else "ptr null"),
    ):
        lines.append(f"  %frame.{name} = getelementptr inbounds i8, ptr %frame, i64 {offset}")
        lines.append(f"  store {value}, ptr %frame.{name}, align 4")
    return [*lines, "  store ptr %frame, ptr %frame.head, align 8"]


def asked(name: str, debug: int, site: str) -> list[str]:
    """Return a call of the debugger, whose answer is in NAME.answer."""
    return [
        f"  %{name}.place = getelementptr inbounds i8, ptr %img, i64 {debug + CALLBACK}",
        f"  %{name}.callback = load ptr, ptr %{name}.place, align 8",
        f"  %{name}.answer = call i32 %{name}.callback(ptr %img, i32 {site})",
    ]
