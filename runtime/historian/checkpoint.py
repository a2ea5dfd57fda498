"""DuckDB's checkpoint, made so that an end within it, by a kill or a loss of power, costs nothing.

DuckDB (2.0) writes blocks of metadata again in their place: what the file holds by then does not change, but
the checksum of the whole block does. Ended within such a write, the file fails its checksum though all is
still there. So those blocks are kept beside it first, and put back at the next start unless the checkpoint
came to its end: then the file begins with another header.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import duckdb

from runtime.historian.cold import sync

WAL_BYTES = 16 << 20  # of the log: from here on a checkpoint is due
_HEADER = 3 * 4096  # of a DuckDB file; blocks follow
_CRC = struct.Struct("<I")
_BLOCK = struct.Struct("<QQ")  # where in the file, how many bytes


class Checkpoints:
    """The checkpoints of one open DuckDB file, with one thread that writes.

    The file stays open here as long as there: DuckDB's lock on it goes with the first handle that is closed.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        self._path = path
        self._log = log_of(path)
        self._file = os.open(path, os.O_RDONLY)
        self._due_bytes = WAL_BYTES

    def close(self) -> None:
        """Let go of the file; to be called after the last connection is closed."""
        os.close(self._file)

    def due(self) -> bool:
        """Tell whether the log has grown so long that it should go into the file."""
        return _size(self._log) > self._due_bytes

    def run(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Bring the log into the file.

        Raises:
            duckdb.TransactionException: others read just now; the log stays for the next time.
            duckdb.Error: the disk refused; the log stays, and so does what is needed to put the file right.
            OSError: the same.
        """
        length = _size(self._log)
        if not length:
            return
        self._due_bytes = length + WAL_BYTES  # unless it comes off
        kept = _kept_of(self._path)
        if _pieces(kept)[:1] != [(0, os.pread(self._file, _HEADER, 0))]:  # else the last one broke off
            self._keep(cursor, kept)
        cursor.execute("CHECKPOINT")
        kept.unlink(missing_ok=True)
        self._due_bytes = WAL_BYTES

    def copy(self, target: Path) -> None:
        """Copy the file as it is."""
        with target.open("wb") as copy:
            at = 0
            while piece := os.pread(self._file, 1 << 20, at):
                copy.write(piece)
                at += len(piece)

    def _keep(self, cursor: duckdb.DuckDBPyConnection, kept: Path) -> None:
        """Bring the header and the blocks that may be overwritten onto the disk, beside the file."""
        row = cursor.execute("SELECT block_size FROM pragma_database_size()").fetchone()
        size = int(row[0]) if row else 0
        numbers = cursor.execute("SELECT block_id FROM pragma_metadata_info() ORDER BY block_id").fetchall()
        places = [(0, _HEADER), *((_HEADER + number * size, size) for (number,) in numbers)]
        pieces = [(at, os.pread(self._file, length, at)) for at, length in places]
        body = b"".join(_BLOCK.pack(at, len(piece)) + piece for at, piece in pieces if piece)
        is_new = not kept.exists()
        with kept.open("wb") as file:
            file.write(_CRC.pack(zlib.crc32(body)) + body)
        sync(kept)
        if is_new:
            sync(kept.parent)


def let_go_of_blocks(connection: duckdb.DuckDBPyConnection, limit_mib: int) -> None:
    """Have DuckDB give back the memory of blocks that nobody uses, and of its notes of blocks long gone.

    It looks through those notes only where memory is short, and else keeps up to 32,768 of a kind. Nobody
    may use the database meanwhile: memory is short for a moment.
    """
    try:
        connection.execute("SET memory_limit = '1B'")
    except duckdb.OutOfMemoryException:
        return  # it gave back all it could; not enough, so the limit stays as it is
    connection.execute(f"SET memory_limit = '{limit_mib}MiB'")


def put_right(path: Path) -> bool:
    """Put the blocks of a file back that a checkpoint was ended within; return whether there were such.

    To be called while nobody has the file open.

    Raises:
        OSError: they cannot be read or written.
    """
    kept = _kept_of(path)
    pieces = _pieces(kept)
    ended_within = False
    if pieces and path.exists():
        with path.open("r+b") as file:
            ended_within = file.read(_HEADER) == pieces[0][1]
            if ended_within:
                for at, piece in pieces:
                    file.seek(at)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
    kept.unlink(missing_ok=True)
    return ended_within


def log_of(path: Path) -> Path:
    """Return the log of a DuckDB file."""
    return path.with_name(f"{path.name}.wal")


def _kept_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.kept")


def _pieces(kept: Path) -> list[tuple[int, bytes]]:
    """Return what was kept, the header first; nothing where it did not come onto the disk whole."""
    data = kept.read_bytes() if kept.exists() else b""
    body = data[_CRC.size :]
    if not body or _CRC.unpack_from(data)[0] != zlib.crc32(body):
        return []
    pieces, place = [], 0
    while place < len(body):
        at, length = _BLOCK.unpack_from(body, place)
        place += _BLOCK.size + length
        pieces.append((at, body[place - length : place]))
    return pieces


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
