"""What the commands that talk to a plant share: options, the connection, times, and printing."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.contract import Value
    from runtime.logins import Signing

PlantOption = Annotated[
    str | None,
    typer.Option(
        "--plant",
        "-p",
        "--url",
        help="Plant folder, plant file or URL (https://anna@gateway:8420); else the only running plant.",
    ),
]
FolderArgument = Annotated[
    Path | None,
    typer.Argument(metavar="PLANT", help="Plant folder, or a plant file in it; else this one."),
]
FolderOption = Annotated[Path | None, typer.Option("--plant", "-p", help="The same, as elsewhere.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
T = TypeVar("T")
_SECOND_NS = 1_000_000_000
_BEYOND = 1 << 63
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {10: "\\n"}
_TURNS = (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))  # ends of lines, directions
_CONTROLS |= {code: f"\\u{code:04x}" for code in _TURNS}


def hand_on(context: typer.Context, **given: object) -> None:
    """Let options that stand before a command of a group hold for it.

    Raises:
        BadParameter: it has no such option.
    """
    name = context.invoked_subcommand or ""
    command: Any = context.command
    known = {option: each.name for each in command.commands[name].params for option in each.opts}
    for option, value in given.items():
        if value and f"--{option}" not in known:
            raise typer.BadParameter(f"{name} has no such option", param_hint=f"--{option}")
    context.default_map = {name: {known[f"--{option}"]: value for option, value in given.items() if value}}


# The callback of a group of commands; its docstring would be the help of a group that has none.
def before_command(context: typer.Context, plant: PlantOption = None, json: JsonOption = False) -> None:
    if context.invoked_subcommand is not None:
        hand_on(context, plant=plant, json=json)


def folder_of(argument: Path | None, option: Path | None) -> Path:
    """Return the plant that is named in either way, or this folder.

    Raises:
        BadParameter: it is named in both.
    """
    if argument and option:
        raise typer.BadParameter("the plant is named already", param_hint="--plant")
    return argument or option or Path()


def ask(plant: str | None, work: Callable[[Any], Awaitable[T]]) -> T:
    """Run `work` with a client of the plant.

    It logs in as `runtime.logins.credentials` says; a terminal is asked for the secret of a user.

    Ctrl-C ends it at once, also while a person is asked something.

    Raises:
        ConnectError: the plant does not run.
    """
    import asyncio

    from runtime.client import PlantClient
    from runtime.endpoint import find
    from runtime.logins import credentials

    endpoint = find(plant)
    asked = (lambda user: ask_secret(f"Secret of {user}")) if sys.stdin.isatty() else None
    who = credentials(endpoint, ask=asked)

    async def session() -> T:
        async with PlantClient(endpoint, **who) as client:
            return await work(client)

    with _interruptible():
        return asyncio.run(session())


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Raise where the main thread is: asyncio's own handler waits for the loop, which may wait for a key."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def ask_secret(what: str = "Secret", *, twice: bool = False) -> str:
    """Return a secret that is typed without echo, or a line of standard input in a pipe.

    Raises:
        PlantError: it is empty, or not UTF-8.
    """
    from runtime.logins import secret_line

    secret: str
    if sys.stdin.isatty():
        secret = typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
    else:
        try:
            secret = secret_line(sys.stdin.readline(), "standard input")
        except UnicodeDecodeError as exc:
            raise PlantError("the secret of standard input is not UTF-8", "save it as such") from exc
    if not secret:
        raise PlantError("the secret is empty", "type one, or send one line to standard input")
    return secret


SignerOption = Annotated[
    str, typer.Option("--sign-as", help="Who signs, where the tag takes a signature; asked for without it.")
]
MeaningOption = Annotated[str, typer.Option("--meaning", help="What the signature means.")]


async def ask_signature(client: Any, meanings: Sequence[str], signer: str, meaning: str) -> Signing | None:
    """Return a signature for what takes one: name, secret and meaning, asked for where not given.

    Raises:
        PlantError: something is missing, and nobody is there to ask.
    """
    from runtime.logins import Signing

    if not meanings:
        return None
    known: str = (await client.info()).user.signer
    if sys.stdin.isatty():
        signer = signer or typer.prompt("Signed by", default=known or None, err=True)
        if not meaning:
            print(f"What the signature means: {', '.join(meanings)}", file=sys.stderr)
            meaning = typer.prompt("Meaning", default=meanings[0] if len(meanings) == 1 else None, err=True)
    signer = signer or known
    meaning = meaning or (meanings[0] if len(meanings) == 1 else "")
    if not signer or not meaning:
        lacking = "--sign-as" if not signer else "--meaning"
        raise PlantError(f"a signature is needed: {lacking} is missing", f"meanings: {', '.join(meanings)}")
    return Signing(signer, ask_secret(f"Secret of {signer}"), meaning)


def print_json(value: Any) -> None:
    """Print one value as one line of JSON."""
    import msgspec

    print(msgspec.json.encode(value).decode(), flush=True)


def plain(text: str) -> str:
    """Write control characters as escapes: what somebody typed moves no cursor, begins and turns no line."""
    return text.translate(_CONTROLS)


class Table:
    """Aligned columns, printed as rows come; wide (Chinese) characters count double."""

    def __init__(self, header: Sequence[str]) -> None:
        self._next: list[Sequence[str]] = [header]
        self._widths = [0] * len(header)

    def put(self, rows: Iterable[Sequence[str]]) -> None:
        """Print rows; columns are as wide as those until now, and these, need them."""
        from rich.cells import cell_len

        lines = [*self._next, *(tuple(map(plain, row)) for row in rows)]
        self._next = []
        self._widths = [
            max([width, *(cell_len(line[column]) for line in lines)])
            for column, width in enumerate(self._widths)
        ]
        for line in lines:
            cells = (
                text + " " * (width - cell_len(text)) for text, width in zip(line, self._widths, strict=True)
            )
            print("  ".join(cells).rstrip())


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns at once."""
    Table(header).put(rows)


def show(value: Any, unit: str = "") -> str:
    """Write a value for people; a dash where there is none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:.7g}" if isinstance(value, float) else plain(str(value))
    return f"{text} {unit}" if unit else text


class Scale(Protocol):
    """What a value is of: a tag, or what was kept of one with the value."""

    @property
    def type(self) -> str: ...

    @property
    def unit_text(self) -> str: ...


def show_of(scale: Scale, value: Value | None, quality: int | None = None) -> str:
    """Write a value of a tag for people, its unit behind it; one that is none of its type as it stands.

    None of a quality that is not bad is NaN or infinite: JSON has no number for it.
    """
    from runtime.config import value_text
    from runtime.contract import DataType

    if value is None and quality is not None and quality >> 31 == 0:
        return "no number"
    if isinstance(value, int | float) and not isinstance(value, bool) and -_BEYOND <= value < _BEYOND:
        if scale.type == "TIME":
            return value_text(DataType.TIME, value)
        if scale.type == "DT":
            return _local(int(value))  # 0 is a moment here
    return show(value, "" if scale.unit_text == "1" else scale.unit_text)  # UCUM's 1 is no unit


def show_time(at_ns: int | None) -> str:
    """Write a time in this machine's zone, to the millisecond."""
    return _local(at_ns) if at_ns else "-"


def _local(at_ns: int) -> str:
    at = datetime.fromtimestamp(at_ns // _SECOND_NS, UTC).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}.{at_ns % _SECOND_NS // 1_000_000:03d}"


def iso_time(at_ns: int) -> str:
    """Write a time as ISO 8601 in UTC, to the nanosecond."""
    at = datetime.fromtimestamp(at_ns // _SECOND_NS, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ns % _SECOND_NS:09d}Z"


def parse_for(text: str | None, option: str = "--for") -> int:
    """Return the ns of an option; 0 where it is not given (empty is none, not for ever).

    Raises:
        PlantError: it is not a duration, or none.
    """
    from runtime.config import parse_duration_ns

    if text is None:
        return 0
    try:
        for_ns = parse_duration_ns(text)
    except ValueError as exc:
        raise PlantError(f"{option}: {exc}") from exc
    if not for_ns:
        raise PlantError(f"{option}: 0 is no time", "write it like 30s, 10min or 8h")
    return for_ns


def parse_time(text: str, now_ns: int) -> int:
    """Return the ns of `now`, of `-1h` (before now), or of an ISO 8601 time (local without zone).

    Raises:
        PlantError: it is none of these.
    """
    from runtime.config import parse_duration_ns

    word = text.strip()
    if word == "now":
        return now_ns
    try:
        if word.startswith("-"):
            return now_ns - parse_duration_ns(word[1:])
        at = datetime.fromisoformat(word)
        at_ns = round(at.astimezone().timestamp() * 1_000_000) * 1000
    except (ValueError, OverflowError, OSError) as exc:
        raise PlantError(f"{text!r} is not a time", "write now, -1h, -30min, or 2026-05-01T08:00:00") from exc
    if abs(at_ns) >= 1 << 63:
        raise PlantError(f"{text!r} is out of range", "times go from 1678 to 2261")
    return at_ns
