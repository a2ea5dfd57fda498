"""`ironworks lsp`: the language server."""

from __future__ import annotations

import logging
from typing import Annotated

import typer


def lsp(
    live: Annotated[bool, typer.Option(help="Show values of a running plant beside the source.")] = True,
) -> None:
    """Serve editors: Structured Text over the Language Server Protocol on standard input and output."""
    from runtime.errors import PlantError

    try:
        from softplc.lsp.features import make
    except ModuleNotFoundError as exc:
        if exc.name not in ("pygls", "lsprotocol"):
            raise
        remedy = "install it: pip install 'ironworks[lsp]'"
        raise PlantError("the language server needs the package pygls", remedy) from exc
    logging.basicConfig(level=logging.WARNING)  # to standard error, which editors keep
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_no_refusal)
    make(live).start_io()


def _is_no_refusal(record: logging.LogRecord) -> bool:
    """Leave out what the client is told anyway: a rename that does not go."""
    from pygls.exceptions import JsonRpcInvalidParams

    return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcInvalidParams))


NEEDS: dict[str, tuple[str, ...]] = {"lsp": ("GET /info", "GET /tags", "WS /stream")}
