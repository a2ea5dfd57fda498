"""`ironworks drivers top`: how the connections of a running plant do, on one screen."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drivers.asking import RunningOption, ask
from runtime.language import language_of

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.wire import TagView

_BASE = "sys/drivers/"
_COLUMNS = (
    "state", "requests", "p50", "p99", "timeouts", "exceptions", "reconnects", "items", "scan", "overruns",
    "sent", "received",
)  # fmt: skip
_SERVED = (
    "connections", "sessions", "subscriptions", "items", "requests", "exceptions", "dropped", "sent",
    "received", "last refusal",
)  # fmt: skip
Table = tuple[list[str], list[list[str]]]  # header, rows
_WORDS = {
    "en": {
        "driver": "driver", "state": "state", "requests": "requests", "p50": "p50 ms", "p99": "p99 ms",
        "timeouts": "timeouts", "exceptions": "exceptions", "reconnects": "reconnects", "items": "items",
        "scan": "a scan", "overruns": "overruns", "sent": "sent", "received": "received", "a second": "/s",
        "server": "server", "connections": "clients", "sessions": "sessions",
        "subscriptions": "subscriptions", "dropped": "dropped", "last refusal": "last refusal",
        "none": "no driver tells of itself", "fact": "what", "value": "value", "meaning": "meaning",
    },
    "zh": {
        "driver": "驱动", "state": "状态", "requests": "请求", "p50": "p50 ms", "p99": "p99 ms",
        "timeouts": "超时", "exceptions": "异常", "reconnects": "重连", "items": "变量", "scan": "每次扫描",
        "overruns": "扫描超时", "sent": "发送", "received": "接收", "a second": "/秒",
        "server": "服务器", "connections": "连接", "sessions": "会话", "subscriptions": "订阅",
        "dropped": "断开", "last refusal": "最近拒绝",
        "none": "没有驱动的状态信息", "fact": "项目", "value": "数值", "meaning": "含义",
        "connecting": "连接中", "online": "在线", "degraded": "降级", "demoted": "低频重试", "off": "已拒绝",
        "offline": "离线",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """The facts of each driver at one moment: name to fact to tag."""

    at_ns: int
    drivers: Mapping[str, Mapping[str, TagView]]

    def value(self, name: str, fact: str) -> Any:
        """Return the value of a fact; None where there is none, or none that is good."""
        found = self.drivers.get(name, {}).get(fact)
        return found.value if found is not None else None


def top(
    name: Annotated[str, typer.Argument(help="One driver, with all that it tells.", metavar="[NAME]")] = "",
    every: Annotated[str, typer.Option(help="Time between two looks.")] = "1s",
    once: Annotated[bool, typer.Option("--once", help="Look once, then end.")] = False,
    lang: Annotated[str, typer.Option(help="Language, en or zh; the terminal's without it.")] = "",
    plant: RunningOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an object a look, for machines.")] = False,
) -> None:
    """Show how the connections do: state, requests, round trips, time-outs, exceptions, scans, bytes.

    Below are the plant's servers: clients, sessions, subscriptions, monitored items, requests, refused ones,
    connections refused or closed for cause, and who was refused last, and why.
    Requests and bytes are those of a second; with --once those since the driver started.
    """
    words = _words(lang)
    every_ns = _every(every)

    async def work(client: PlantClient) -> None:
        if as_json or once or not sys.stdout.isatty():
            async for look in _looks(client, name, every_ns, once or not as_json):
                if as_json:
                    typer.echo(json.dumps(_as_data(look), ensure_ascii=False))
                else:
                    _print(_tables(look, None, name, words))
            return
        from rich.console import Group
        from rich.live import Live

        before: Look | None = None
        with Live(auto_refresh=False, screen=True) as live:
            async for look in _looks(client, name, every_ns, once=False):
                tables = _tables(look, before, name, words)
                live.update(Group(*(_table(*each) for each in tables)), refresh=True)
                before = look

    try:
        ask(plant, work)
    except KeyboardInterrupt:
        return


def _words(lang: str) -> Mapping[str, str]:
    """Return the words of a language; of the environment's without one."""
    from runtime.errors import PlantError

    lang = lang or language_of(os.environ)
    if lang not in _WORDS:
        raise PlantError(f"there is no language {lang!r}", "use en or zh")
    return _WORDS[lang]


def _every(text: str) -> int:
    from runtime.config import parse_duration_ns
    from runtime.errors import PlantError

    try:
        every_ns = parse_duration_ns(text)
    except ValueError as exc:
        raise PlantError(f"--every: {exc}") from exc
    if not 50_000_000 <= every_ns <= 3_600_000_000_000:
        raise PlantError(f"--every: {text} is out of range", "from 50ms to 1h")
    return every_ns


async def _looks(client: PlantClient, name: str, every_ns: int, once: bool) -> AsyncIterator[Look]:
    from runtime.clock import WallClock
    from runtime.errors import PlantError

    clock = WallClock()
    due_ns = clock.steady_ns()
    while True:
        drivers: dict[str, dict[str, TagView]] = {}
        for tag in await client.tags(f"{_BASE}*/*"):
            driver, _, fact = tag.path.removeprefix(_BASE).partition("/")
            drivers.setdefault(driver, {})[fact] = tag
        if name and name not in drivers:
            close = get_close_matches(name, drivers, 1)
            known = f"there are: {', '.join(sorted(drivers)) or 'none'}"
            raise PlantError(
                f"no driver {name!r} tells of itself", f"did you mean {close[0]!r}?" if close else known
            )
        chosen = {name: drivers[name]} if name else dict(sorted(drivers.items()))
        yield Look(clock.steady_ns(), chosen)
        if once:
            return
        due_ns = max(due_ns + every_ns, clock.steady_ns())
        await clock.sleep_until(due_ns)


def _as_data(look: Look) -> dict[str, dict[str, Any]]:
    return {
        name: {fact: tag.value for fact, tag in facts.items() if tag.value is not None}
        for name, facts in look.drivers.items()
    }


def _tables(look: Look, before: Look | None, name: str, words: Mapping[str, str]) -> list[Table]:
    """Return clients and servers, a row each; of one driver a row for each fact."""
    if name:
        rows = [[fact, _text(tag), _meaning(tag, words)] for fact, tag in look.drivers[name].items()]
        return [([f"{name}: {words['fact']}", words["value"], words["meaning"]], rows)]
    servers = [each for each, facts in look.drivers.items() if "connections" in facts]
    clients = [each for each in look.drivers if each not in servers]
    made = []
    for what, columns, names in (("driver", _COLUMNS, clients), ("server", _SERVED, servers)):
        if names or (what == "driver" and not servers):
            rates = {"requests", "sent", "received"} if before is not None else set()
            header = [words[what]]
            header += [words[each] + (words["a second"] if each in rates else "") for each in columns]
            made.append((header, [[each, *_row(look, before, each, columns, words)] for each in names]))
    return made


def _row(
    look: Look, before: Look | None, name: str, columns: Sequence[str], words: Mapping[str, str]
) -> list[str]:
    def shown(fact: str) -> str:
        value = look.value(name, fact)
        return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    def rate(fact: str) -> float | None:
        """Return what there was in a second since the look before; in all without one."""
        now = look.value(name, fact)
        then = before.value(name, fact) if before is not None else 0
        if now is None or then is None:
            return None
        seconds = (look.at_ns - before.at_ns) / 1e9 if before is not None else 1.0
        return float(max(0, now - then) / seconds)  # a driver that began anew counts from 0

    def cell(column: str) -> str:
        match column:
            case "state":
                state = _state(look, name)
                return words.get(state, state)
            case "connections":
                return words.get("offline", "offline") if _state(look, name) == "offline" else shown(column)
            case "requests":  # of a broker's client it is the messages that tell
                count = rate("messages" if "messages" in look.drivers[name] else "requests")
                return "" if count is None else f"{count:.0f}"
            case "p50" | "p99":
                return shown(f"round_trip_{column}_ms")
            case "exceptions":
                return " ".join(filter(None, (shown(column), _codes(look.value(name, "exception_codes")))))
            case "scan":
                return shown("scan_requests")
            case "sent" | "received":
                return _size(rate(f"bytes_{column}"))
        return shown(column.replace(" ", "_"))

    return [cell(each) for each in columns]


def _state(look: Look, name: str) -> str:
    state = look.value(name, "state")
    if state is None:
        alive = look.value(name, "online")
        alive = look.value(name, "running") if alive is None else alive
        state = "" if alive is None else "online" if alive else "offline"
    return str(state)


def _codes(text: str | None) -> str:
    """Return the three most frequent codes."""
    return f"({', '.join(text.split(', ')[:3])})" if text else ""


def _size(count: float | None) -> str:
    if count is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"


def _text(tag: TagView) -> str:
    if tag.value is None:
        return "-"
    if isinstance(tag.value, bool):
        return str(tag.value).lower()
    text = f"{tag.value:.5g}" if isinstance(tag.value, float) else str(tag.value)
    return f"{text} {tag.unit_text}".rstrip()


def _meaning(tag: TagView, words: Mapping[str, str]) -> str:
    return tag.description_zh if words is _WORDS["zh"] else tag.description


def _print(tables: Sequence[Table]) -> None:
    from rich.cells import cell_len

    for number, (header, rows) in enumerate(tables):
        if number:
            typer.echo()
        lines = [header, *rows]
        widths = [max(cell_len(line[column]) for line in lines) for column in range(len(header))]
        for line in lines:
            cells = (text + " " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True))
            typer.echo("  ".join(cells).rstrip())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, padding=(0, 1))
    last = len(header) - 1
    for number, name in enumerate(header):
        is_text = number < 2 or last < 3 or (number == last and last == len(_SERVED))
        made.add_column(name, justify="left" if is_text else "right")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


NEEDS: dict[str, tuple[str, ...]] = {"top": ("GET /tags",)}
