"""`ironworks history`: stored samples of a running plant, or of one that is stopped."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from runtime.cli.session import (
    JsonOption,
    PlantOption,
    Table,
    ask,
    before_command,
    iso_time,
    parse_time,
    print_json,
    print_table,
    show,
    show_of,
    show_time,
)
from runtime.errors import PlantError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.client import PlantClient
    from runtime.config import TagList
    from runtime.contract import Tag
    from runtime.historian import Archive
    from runtime.wire import Series, SqlAnswer, TrendSeries

app = typer.Typer(help="Stored samples of a plant, running or stopped.", no_args_is_help=True)
app.callback()(before_command)
Paths = Annotated[list[str], typer.Argument(help="Paths or globs of tags.", metavar="PATH...")]
FromOption = Annotated[str, typer.Option("--from", help="-1h, -30min, or an ISO 8601 time.")]
ToOption = Annotated[str, typer.Option("--to", help="now, -10min, or an ISO 8601 time; not included.")]
T = TypeVar("T")
_POINTS = 100_000
_AT_ONCE = 250_000  # points of an answer, of some 400 bytes each
CsvOption = Annotated[
    str | None, typer.Option("--csv", help="Write CSV to this file; - for standard output.")
]
ParquetOption = Annotated[str | None, typer.Option("--parquet", help="Write Parquet to this file.")]
ArrowOption = Annotated[
    str | None, typer.Option("--arrow", help="Write an Arrow IPC file (Feather); needs the extra arrow.")
]


class Mode(StrEnum):
    """What is told of the samples: as they are, values at times, or figures of intervals."""

    RAW = "raw"
    AT = "at"
    INTERPOLATED = "interpolated"
    MIN = "min"
    MAX = "max"
    MEAN = "mean"
    FIRST = "first"
    LAST = "last"
    TIME_WEIGHTED = "time_weighted"


@app.command()
def query(
    paths: Paths,
    start: FromOption = "-1h",
    end: ToOption = "now",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Of each tag, the newest.")] = 10_000,
    mode: Annotated[Mode, typer.Option(help="raw, or a value for each interval.")] = Mode.RAW,
    interval: Annotated[
        str | None, typer.Option(help="Such as 1min, from --from on; for every mode but raw.")
    ] = None,
    plant: PlantOption = None,
    json: JsonOption = False,
    csv_file: CsvOption = None,
    parquet: ParquetOption = None,
    arrow: ArrowOption = None,
) -> None:
    """Print samples, oldest first, or figures of equal intervals."""
    _one_form(json, csv_file, parquet, arrow)
    span = _span(start, end)
    interval_ns = _interval(mode, interval, span)

    most = limit if interval_ns is None else -(-(span[1] - span[0]) // interval_ns)
    cut: list[str] = []

    async def online(client: PlantClient) -> None:
        found = await _expanded(client, paths, numbers=mode is not Mode.RAW)
        for some in _pieces(found, most):
            take(await client.history(some, *span, limit, mode=mode, interval_ns=interval_ns))

    def offline(archive: Archive) -> None:
        chosen = _chosen(archive.tags, paths, numbers=mode is not Mode.RAW)
        for some in _pieces(chosen if interval_ns is None else _numeric(chosen, "figures"), most):
            if interval_ns is None:
                take(_read(archive, some, span, limit))
            else:
                take(_figures(archive, some, span, interval_ns, mode))

    def take(found: Sequence[Series]) -> None:
        """Write what there is at once: a month of all tags need not fit into memory."""
        cut.extend(each.path for each in found if mode is Mode.RAW and len(each.points) == limit)
        put(found)

    with _output(json, csv_file, parquet, arrow) as put:
        _from_either(plant, online, offline)
    if cut:
        print(f"no more than the newest {limit} samples of {', '.join(cut)}: see --limit", file=sys.stderr)


@app.command()
def trend(
    paths: Paths,
    start: FromOption = "-1h",
    end: ToOption = "now",
    buckets: Annotated[
        int, typer.Option(min=1, max=10_000, help="Into how many spans to divide the time.")
    ] = 60,
    plant: PlantOption = None,
    json: JsonOption = False,
    csv_file: CsvOption = None,
) -> None:
    """Print least, mean and greatest value of equal spans of time."""
    _one_form(json, csv_file)
    span = _span(start, end)

    async def online(client: PlantClient) -> Sequence[TrendSeries]:
        return await client.trend(await _expanded(client, paths, numbers=True), *span, buckets)

    def offline(archive: Archive) -> Sequence[TrendSeries]:
        from runtime.wire import TrendSeries

        return [
            TrendSeries(tag.path, tag.unit_text, tuple(archive.trend(tag.id, *span, buckets)))
            for tag in _numeric(_chosen(archive.tags, paths, numbers=True), "trend")
        ]

    series: Sequence[TrendSeries] = _from_either(plant, online, offline)
    rows = [(each.path, *point) for each in series for point in each.points]
    if json:
        print_json(series)
    elif csv_file:
        header = ("time_ns", "time", "path", "min", "mean", "max")
        _write_csv(csv_file, header, ((at, iso_time(at), path, *found) for path, at, *found in rows))
    else:
        print_table(
            ("time", "path", "min", "mean", "max"),
            [(show_time(at), path, *(show(value) for value in found)) for path, at, *found in rows],
        )


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT.", metavar="SELECT")],
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Rows at most.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=0.1, max=120, help="How long it may take.")] = 30.0,
    plant: PlantOption = None,
    json: JsonOption = False,
    csv_file: CsvOption = None,
    parquet: ParquetOption = None,
    arrow: ArrowOption = None,
) -> None:
    """Answer a SELECT over samples and tags, for engineers.

    samples(path, t, t_ns, value, quality, text), tags(path, type, unit, retention). Times are in UTC
    (now()::TIMESTAMP); a condition on t_ns (ns since 1970) is faster than one on t. Values are doubles, and
    bad samples (quality from 2147483648 on) may have one, too. What compression holds back, for a minute at
    most, is not in yet.
    """
    _one_form(json, csv_file, parquet, arrow)

    async def online(client: PlantClient) -> SqlAnswer:
        return await client.sql(query, limit, seconds)

    def offline(archive: Archive) -> SqlAnswer:
        from runtime.wire import SqlAnswer

        found = archive.sql(query, limit, seconds)
        return SqlAnswer(found.columns, found.rows, found.truncated)

    answer: SqlAnswer = _from_either(plant, online, offline)
    if json:
        print_json(answer)
    elif parquet or arrow:
        names = [
            f"{name}_{index}" if name in answer.columns[:index] else name
            for index, name in enumerate(answer.columns)
        ]
        _write_file(
            parquet, arrow, {name: [row[index] for row in answer.rows] for index, name in enumerate(names)}
        )
    elif csv_file:
        _write_csv(csv_file, answer.columns, answer.rows)
    else:
        print_table(answer.columns, [tuple(show(value) for value in row) for row in answer.rows])
    if answer.truncated:
        print(f"only the first {limit} rows: see --limit", file=sys.stderr)


def _interval(mode: Mode, interval: str | None, span: tuple[int, int]) -> int | None:
    from runtime.config import parse_duration_ns

    if mode is Mode.RAW:
        if interval:
            raise PlantError("--interval is for a --mode other than raw", "add --mode mean, or another")
        return None
    if not interval:
        raise PlantError(f"--mode {mode} needs an --interval", "add --interval 1min, or another")
    try:
        interval_ns = parse_duration_ns(interval)
    except ValueError as exc:
        raise PlantError(f"--interval: {exc}", "write it like 1s, 10min or 1d") from exc
    if interval_ns < 1 or -(-(span[1] - span[0]) // interval_ns) > _POINTS:
        raise PlantError(f"--interval {interval} is too short", f"up to {_POINTS} intervals are answered")
    return interval_ns


def _figures(
    archive: Archive, chosen: Sequence[Tag], span: tuple[int, int], interval_ns: int, mode: Mode
) -> list[Series]:
    import numpy as np

    from runtime.wire import Series

    found = archive.figures(np.array([tag.id for tag in chosen], np.int32), *span, interval_ns, mode)
    return [
        Series(tag.path, tag.data_type.iec, tag.unit_text, tuple(found[tag.id].listed(tag.data_type, mode)))
        for tag in chosen
    ]


def _numeric(chosen: list[Tag], wanted: str) -> list[Tag]:
    for tag in chosen:
        if tag.data_type.kind == "s":
            raise PlantError(f"{tag.path} is text and has no {wanted}", "ask `history query` with --mode raw")
    return chosen


def _one_form(json: bool, csv_file: str | None, parquet: str | None = None, arrow: str | None = None) -> None:
    if sum(map(bool, (json, csv_file, parquet, arrow))) > 1:
        raise PlantError("one form of output at a time", "give one of --json, --csv, --parquet and --arrow")
    if "-" in (parquet, arrow):
        raise PlantError("only CSV goes to a pipe", "name a file, or use --csv -")


@contextmanager
def _output(
    json: bool, csv_file: str | None, parquet: str | None, arrow: str | None
) -> Iterator[Callable[[Sequence[Series]], None]]:
    """Give what writes samples in the form that is asked for, some tags at a time."""
    if parquet or arrow:
        from runtime.historian import arrow_of, parquet_of

        with parquet_of(Path(parquet)) if parquet else arrow_of(Path(str(arrow))) as put_columns:
            yield lambda found: put_columns(_columns(found))
    elif csv_file:
        with _csv(csv_file, ("time_ns", "time", "path", "value", "unit", "quality")) as put_rows:
            yield lambda found: put_rows(_csv_rows(found))
    elif json:
        with _json_list() as put_values:
            yield put_values
    else:
        table = Table(("time", "path", "value", "quality"))
        yield lambda found: table.put(_shown(found))


def _columns(series: Sequence[Series]) -> dict[str, list[Any]]:
    points = [(each, *point) for each in series for point in each.points]
    return {
        "time_ns": [at_ns for _, at_ns, *_ in points],
        "path": [each.path for each, *_ in points],
        "value": [value for *_, value, _ in points],
        "unit": [each.unit_text for each, *_ in points],
        "quality": [quality for *_, quality in points],
    }


def _shown(series: Sequence[Series]) -> Iterator[tuple[str, ...]]:
    from runtime.wire import quality_text

    for each in series:
        for at_ns, value, quality in each.points:
            code = "" if quality >> 30 == 0 else quality_text(quality)
            yield show_time(at_ns), each.path, show_of(each, value, quality), code


@contextmanager
def _json_list() -> Iterator[Callable[[Sequence[Any]], None]]:
    """Give what writes values of one list, a line of JSON in the end."""
    import msgspec

    before = "["

    def put(values: Sequence[Any]) -> None:
        nonlocal before
        for value in values:
            print(before, msgspec.json.encode(value).decode(), sep="", end="")
            before = ","

    yield put
    print("[]" if before == "[" else "]", flush=True)


def _write_file(parquet: str | None, arrow: str | None, columns: dict[str, list[Any]]) -> None:
    from runtime.historian import write_arrow, write_parquet

    if parquet:
        write_parquet(Path(parquet), columns)
    elif arrow:
        write_arrow(Path(arrow), columns)


def _span(start: str, end: str) -> tuple[int, int]:
    from runtime.clock import WallClock

    now_ns = WallClock().now_ns()
    # Nothing is older than 1970, which began before that in the east.
    start_ns, end_ns = max(0, parse_time(start, now_ns)), parse_time(end, now_ns)
    if end_ns <= start_ns:
        raise PlantError(f"--to {end} is not after --from {start}", "give an earlier --from")
    return start_ns, end_ns


def _from_either(plant: str | None, online: Any, offline: Any) -> Any:
    """Ask the plant if it runs, else open its file."""
    from runtime.cli.stopped import plant_head, runs, state_of

    if runs(plant):
        return ask(plant, online)
    from runtime.historian import open_readonly

    with open_readonly(state_of(plant) / "history.duckdb", plant_head(plant).root) as archive:
        found = offline(archive)
        for problem in archive.problems:
            print(problem, file=sys.stderr)
        return found


async def _expanded(client: PlantClient, paths: list[str], numbers: bool) -> list[str]:
    """Return the paths of tags; a glob leaves out those of text where `numbers` are wanted."""
    globs = [path for path in paths if "*" in path or "?" in path]
    plain = [path for path in paths if path not in globs]
    if globs:
        views = await client.tags(*globs)
        plain += [view.path for view in views if not (numbers and view.type == "STRING")]
    if not plain:
        raise PlantError(f"no tag matches {' '.join(paths)}", "`ironworks read '**'` lists all; quote globs")
    return plain


def _chosen(tags: TagList, paths: list[str], numbers: bool) -> list[Tag]:
    named = [path for path in paths if "*" not in path and "?" not in path]
    for path in named:
        if path not in tags:
            raise PlantError(f"no history of {path!r}", tags.close_to(path))
    asked = {tags[path].path for path in named}
    newest = {tags[int(id_)].path: tags[tags[int(id_)].path] for id_ in tags.select(*paths)}
    if numbers:
        newest = {path: tag for path, tag in newest.items() if path in asked or tag.data_type.kind != "s"}
    if not newest:
        raise PlantError(f"no recorded tag matches {' '.join(paths)}", "quote globs")
    return list(newest.values())


def _read(archive: Archive, chosen: Sequence[Tag], span: tuple[int, int], limit: int) -> list[Series]:
    import numpy as np

    from runtime.contract import Quality, Value
    from runtime.wire import Series

    points: dict[int, list[tuple[int, Value | None, int]]] = {tag.id: [] for tag in chosen}
    for row in archive.query(np.array([tag.id for tag in chosen], np.int32), *span, limit):
        bad = Quality.is_bad(row.quality)
        value = None if bad else archive.tags[row.id].data_type.decode(row.raw, row.text)
        if isinstance(value, float) and not math.isfinite(value):
            value = None  # as a plant that runs tells it
        points[row.id].append((row.source_ns, value, row.quality))
    return [Series(tag.path, tag.data_type.iec, tag.unit_text, tuple(points[tag.id])) for tag in chosen]


def _csv_rows(series: Sequence[Series]) -> Iterator[tuple[object, ...]]:
    for each in series:
        for at_ns, value, quality in each.points:
            text = str(value).lower() if isinstance(value, bool) else value
            yield at_ns, iso_time(at_ns), each.path, text, each.unit_text, f"0x{quality:08X}"


def _pieces(names: Sequence[T], points: int) -> Iterator[Sequence[T]]:
    """Yield as many at a time as may be in memory at once."""
    size = max(1, _AT_ONCE // points)
    for first in range(0, len(names), size):
        yield names[first : first + size]


def _write_csv(file: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with _csv(file, header) as put:
        put(rows)


@contextmanager
def _csv(file: str, header: Sequence[str]) -> Iterator[Callable[[Iterable[Sequence[object]]], None]]:
    """Give what writes rows; the file is begun with the first: a question that is refused leaves it alone."""
    out: Any = None

    def put(rows: Iterable[Sequence[object]]) -> None:
        nonlocal out
        begun = [] if out else [header]
        out = out or files.enter_context(_opened(file))
        writer = csv.writer(out, lineterminator="\n")
        # A text may have a carriage return, of a scanner for one: unquoted it ends the line for who reads.
        quoting = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        for row in chain(begun, rows):
            returns = any(isinstance(cell, str) and "\r" in cell for cell in row)
            (quoting if returns else writer).writerow(row)

    with ExitStack() as files:
        yield put


@contextmanager
def _opened(file: str) -> Iterator[Any]:
    if file == "-":
        yield sys.stdout
        return
    try:
        with Path(file).open("w", encoding="utf-8", newline="") as out:
            yield out
    except OSError as exc:
        raise PlantError(
            f"{file} cannot be written: {exc.strerror}", "check the folder and its disk"
        ) from exc
