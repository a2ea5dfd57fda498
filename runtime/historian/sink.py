"""The sink: sends every stored sample to PostgreSQL or TimescaleDB, once, across outages of either."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runtime.config import SinkConfig
from runtime.contract import Batch, Event, Port
from runtime.errors import ConnectError, StoreError
from runtime.historian import feed
from runtime.historian.feed import Place
from runtime.historian.hot import Historian
from runtime.historian.house import SINK_TAGS

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)
NAME = "history-sink"
IDLE_S = 1.0
FIGURES_S = 2.0
_SLOWEST_S = 30.0
_BLOCK = 1 << 16
# A server that is gone without a word is noticed in half a minute; a commit counts when it is on disk; pieces
# are written in UTF-8, whatever the database or the account has for its own.
_SESSION: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "ironworks",
    "client_encoding": "utf8",
    "options": "-c synchronous_commit=on -c timezone=UTC -c datestyle=ISO -c lock_timeout=10s",
}
_THERE = "SELECT to_regnamespace('ironworks'), to_regclass('ironworks.samples')"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS ironworks.feeds (
    feed bigint PRIMARY KEY, plant text NOT NULL, batches bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS ironworks.tags (
    tag integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plant text NOT NULL, path text NOT NULL, type text NOT NULL, unit text NOT NULL,
    UNIQUE (plant, path, type)
);
CREATE TABLE IF NOT EXISTS ironworks.samples (
    tag integer NOT NULL, time timestamptz NOT NULL, t_ns bigint NOT NULL, value double precision,
    whole numeric(20), text text, quality bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS samples_tag_time ON ironworks.samples (tag, time DESC);
CREATE OR REPLACE VIEW ironworks.history AS
    SELECT plant, path, time, value, whole, text, quality, unit, t_ns
    FROM ironworks.samples JOIN ironworks.tags USING (tag);
"""
_TIMESCALE = """
SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'timescaledb'
"""
_HYPERTABLE = """
SELECT {}.create_hypertable('ironworks.samples', 'time', chunk_time_interval => interval '1 day',
    create_default_indexes => false, if_not_exists => true, migrate_data => true)
"""
_BY_TIME = "CREATE INDEX IF NOT EXISTS samples_time ON ironworks.samples USING brin (time)"
_TAGS = """
INSERT INTO ironworks.tags (plant, path, type, unit)
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[])
ON CONFLICT (plant, path, type) DO UPDATE SET unit = excluded.unit WHERE tags.unit <> excluded.unit
"""
_COPY = """
COPY ironworks.samples (tag, time, t_ns, value, whole, text, quality) FROM STDIN
(FORMAT csv, NULL '\\N')
"""


class Sink:
    """A component beside the historian, from which it takes what it sends: there is no queue of its own.

    A piece of history and the count of pieces are one transaction of the database, so a piece is there once
    or not at all, whoever dies when. What goes from history before it was sent is counted, with an alarm.
    """

    name = NAME

    def __init__(
        self, historian: Historian, config: SinkConfig, plant: str, folder: Path, state: Path
    ) -> None:
        self._historian = historian
        self._config = config
        self._plant = plant
        self._folder = folder
        self._file = state / "history.sink.csv"
        self._connected = False
        self._trouble: str | None = ""  # what was told last; None while it sends
        self._sent = 0
        self._caught_up_ns = 0
        self._numbers = np.zeros(0, np.int64)
        self._numbered: tuple[int, ...] = ()

    async def run(self, port: Port) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell_figures(port))
                await self._keep_sending(port)
        finally:
            self._file.unlink(missing_ok=True)

    async def _keep_sending(self, port: Port) -> None:
        from psycopg import Error

        pause_s = IDLE_S
        while True:
            sent = self._sent
            try:
                async with await self._connect() as connection:
                    taken = await self._meet(connection, port)
                    self._connected = True
                    await self._send_all(connection, port, taken)
            except (Error, OSError, ConnectError, StoreError) as exc:
                text = " ".join(str(exc).split()) or type(exc).__name__
                if text != self._trouble:
                    log.warning("%s: %s", NAME, text)
                self._trouble = text
                port.health(False, text)
            finally:
                self._connected = False
            pause_s = IDLE_S if self._sent > sent else min(2 * pause_s, _SLOWEST_S)
            await port.clock.sleep(pause_s)

    def _tell_sending(self, port: Port) -> None:
        """Say that all is well: not before a piece arrived, as a full disk lets in who connects."""
        if self._trouble:
            log.warning("%s: sending again", NAME)
        if self._trouble is not None:
            port.health(True)
        self._trouble = None

    async def _connect(self) -> psycopg.AsyncConnection:
        from psycopg import AsyncConnection
        from psycopg.conninfo import make_conninfo

        told = make_conninfo(self._config.url, password=self._password(), **_SESSION)
        return await AsyncConnection.connect(told, autocommit=True)

    def _password(self) -> str | None:
        """Return the password, None where the account needs none or libpq's own file has it.

        Raises:
            ConnectError: it is not where the plant file says.
        """
        if self._config.password_env:
            found = os.environ.get(self._config.password_env)
            if found is None:
                remedy = "set it where the plant is started"
                raise ConnectError(f"the variable {self._config.password_env} is not set", remedy)
            return found
        if self._config.password_file:
            file = self._folder / self._config.password_file
            try:
                return file.read_text("utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as exc:
                why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
                raise ConnectError(f"{file} cannot be read: {why}", "see password_file") from exc
        return None

    async def _meet(self, connection: psycopg.AsyncConnection, port: Port) -> bool:
        """Find out where the two stand; return whether the piece under way had arrived.

        Raises:
            ConnectError: the database is not the one that was fed, or lost a part of that.
        """
        at = await self._historian.with_store(feed.place)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('ironworks.samples'))")
            await self._lay_out(connection)
            await self._number_tags(connection)
            batches = None if at is None else await _batches(connection, at.feed)
            if at is None or (batches is None and at.batch):
                if at is not None:
                    text = "the sink's database is new: all of history is sent to it"
                    port.emit(Event("historian.sink", NAME, port.clock.now_ns(), text, {}))
                now_ns = port.clock.now_ns()
                at = await self._historian.with_store(feed.begin, secrets.randbits(62), now_ns)
            if batches is None:
                batches = 0
                await connection.execute(
                    "INSERT INTO ironworks.feeds VALUES (%s, %s, 0)", [at.feed, self._plant]
                )
        clock = port.clock
        if not self._caught_up_ns:
            self._caught_up_ns = clock.steady_ns() - max(0, clock.now_ns() - at.caught_up_ns)
        if batches not in (at.batch, at.batch + 1):
            older, rows = "it", "this plant's rows"
            if batches > at.batch:
                older, rows = "this history", "those of this plant's rows that history has as well"
            raise ConnectError(
                f"the sink's database took {batches} pieces of history, and {at.batch} were sent",
                f"{older} was restored from a backup: delete {rows} from ironworks.samples,"
                f" and feed {at.feed} from ironworks.feeds; then all of history is sent",
            )
        return batches == at.batch + 1

    async def _lay_out(self, connection: psycopg.AsyncConnection) -> None:
        from psycopg.sql import SQL, Identifier

        found = await connection.execute("SELECT to_regclass('ironworks.history') IS NOT NULL")
        if await found.fetchone() == (True,):
            return
        found = await connection.execute(_THERE)
        schema, samples = await found.fetchone() or (None, None)
        if schema is None:  # who was given one need not have the right to make others
            await connection.execute("CREATE SCHEMA ironworks")
        if samples is None:  # what the counts say was taken is gone with it
            await connection.execute("DROP TABLE IF EXISTS ironworks.feeds")
        await connection.execute(_SCHEMA)
        found = await connection.execute(_TIMESCALE)
        if schema := await found.fetchone():
            await connection.execute(SQL(_HYPERTABLE).format(Identifier(schema[0])))
        else:
            await connection.execute(_BY_TIME)

    async def _number_tags(self, connection: psycopg.AsyncConnection) -> None:
        """Let the database give each tag its number, and tell it the units."""
        self._numbered = await self._historian.beside_store(feed.tags_mark)
        rows = await self._historian.with_store(feed.tags)
        paths, types, units = ([row[index] for row in rows] for index in (1, 2, 3))
        await connection.execute(_TAGS, [self._plant, paths, types, units])
        found = await connection.execute(
            "SELECT path, type, tag FROM ironworks.tags WHERE plant = %s", [self._plant]
        )
        known = {(path, kind): tag for path, kind, tag in await found.fetchall()}
        self._numbers = np.zeros(1 + max((row[0] for row in rows), default=-1), np.int64)
        for id_, path, kind, _ in rows:
            self._numbers[id_] = known[path, kind]

    async def _send_all(self, connection: psycopg.AsyncConnection, port: Port, taken: bool) -> None:
        """Send what there is, then what comes; returns never."""
        clock = port.clock
        while True:
            now_ns = clock.now_ns()
            at = await self._historian.with_store(feed.advance, taken, now_ns)
            taken = at.rows > 0
            if not taken:
                self._tell_sending(port)
                self._caught_up_ns = clock.steady_ns() if at.kind else self._caught_up_ns
                await clock.sleep(IDLE_S)
                continue
            if await self._historian.beside_store(feed.tags_mark) != self._numbered:
                async with connection.transaction():
                    await self._number_tags(connection)
            try:
                await self._historian.beside_store(feed.write_piece, at, self._numbers, self._file)
            except StoreError:
                if at.kind == "part":
                    await self._historian.check_file(at.number)
                raise
            await self._send(connection, at)
            self._sent += at.rows
            self._tell_sending(port)
            if at.caught_up_ns == now_ns:  # that was all there was
                self._caught_up_ns = clock.steady_ns()

    async def _send(self, connection: psycopg.AsyncConnection, at: Place) -> None:
        async with connection.transaction(), connection.cursor() as cursor:
            found = await cursor.execute(
                "UPDATE ironworks.feeds SET batches = batches + 1 WHERE feed = %s AND batches = %s",
                [at.feed, at.batch],
            )
            if found.rowcount != 1:
                raise ConnectError("another process feeds the sink's database from this history", "stop it")
            with self._file.open("rb") as source:
                async with cursor.copy(_COPY) as copy:
                    while block := source.read(_BLOCK):
                        await copy.write(block)

    async def _tell_figures(self, port: Port) -> None:
        tags = [port.tags[tag.path] for tag in SINK_TAGS]
        told: list[int] = []
        lost = 0
        while True:
            try:
                waiting = await self._historian.beside_store(feed.waiting)
            except StoreError as exc:
                log.debug("%s: %s", NAME, exc)
                await port.clock.sleep(FIGURES_S)
                continue
            now_ns, steady_ns = port.clock.now_ns(), port.clock.steady_ns()
            if not waiting:
                self._caught_up_ns = steady_ns
            lag_s = (steady_ns - self._caught_up_ns) / 1e9 if self._caught_up_ns else 0.0
            if self._historian.unsent_lost > lost:
                text = f"{self._historian.unsent_lost - lost} samples were deleted before the sink had them"
                lost = self._historian.unsent_lost
                port.emit(Event("historian.sink", NAME, now_ns, text, {"samples": lost}))
            values = (self._connected, lag_s, waiting, self._sent, lost)
            raws = [tag.data_type.encode(value) for tag, value in zip(tags, values, strict=True)]
            changed = [row for row in range(len(raws)) if not told or raws[row] != told[row]]
            if changed:
                ids = [tags[row].id for row in changed]
                port.submit(Batch.of(ids, [raws[row] for row in changed], now_ns))
            told = raws
            await port.clock.sleep(FIGURES_S)


async def _batches(connection: psycopg.AsyncConnection, number: int) -> int | None:
    found = await connection.execute("SELECT batches FROM ironworks.feeds WHERE feed = %s", [number])
    row = await found.fetchone()
    return int(row[0]) if row else None
