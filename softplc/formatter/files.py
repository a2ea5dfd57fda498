"""Files: read and formatted, compared, and replaced as a whole."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path

from runtime.errors import PlantError
from softplc.diagnostics import CompileError, Diagnostic
from softplc.formatter import format_text
from softplc.plcopen.xml import is_xml
from softplc.profiles import IEC, Profile


def read(path: Path, profile: Profile = IEC) -> tuple[str, str]:
    """Return a file's text, and how it should look; a byte order mark stays.

    Raises:
        CompileError: it cannot be read, or its syntax is wrong.
        PlantError: it is no Structured Text.
    """
    if is_xml(path.name):
        remedy = "ironworks st import makes Structured Text of it"
        raise PlantError(f"{path} is PLCopen XML: only Structured Text is formatted", remedy)
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as exc:
        raise _unreadable(path, f"cannot read the file: {exc.strerror}", "check the path") from exc
    except UnicodeDecodeError as exc:
        raise _unreadable(path, "the file is not UTF-8 text", "save it as UTF-8") from exc
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return text, mark + format_text(text.removeprefix(mark), str(path), profile)


def replace(path: Path, text: str) -> None:
    """Replace a file at once: whoever reads it finds the old text or the new.

    Raises:
        PlantError: the folder or the file cannot be written.
    """
    target = path.resolve()
    part = ""
    try:
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(target.stat().st_mode & 0o7777)
        Path(part).replace(target)
    except OSError as exc:
        if part:
            with suppress(FileNotFoundError):
                Path(part).unlink()
        raise PlantError(f"{path} cannot be written: {exc.strerror}", "check its permissions") from exc


def difference(path: Path, before: str, after: str) -> str:
    """Return what would change, as a unified diff."""
    lines = unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        str(path),
        f"{path} (formatted)",
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _unreadable(path: Path, message: str, remedy: str) -> CompileError:
    return CompileError([Diagnostic("ST0001", message, 0, 0, remedy, file=str(path), line=1, column=1)])
