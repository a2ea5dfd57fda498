"""`ironworks lsp`: the language server."""

from __future__ import annotations

from typing import Annotated

import typer


def lsp(
    live: Annotated[bool, typer.Option(help="Show values of a running plant beside the source.")] = True,
) -> None:
    """Serve editors: Structured Text over the Language Server Protocol on standard input and output."""
    import logging

    from runtime.errors import PlantError

    try:
        from softplc.lsp.features import make
    except ModuleNotFoundError as exc:
        if exc.name not in ("pygls", "lsprotocol"):
            raise
        remedy = "install it: pip install 'ironworks[lsp]'"
        raise PlantError("the language server needs the package pygls", remedy) from exc
    logging.basicConfig(level=logging.WARNING)  # to standard error, which editors keep
    make(live).start_io()


NEEDS: dict[str, tuple[str, ...]] = {"lsp": ("GET /info", "GET /tags", "WS /stream")}
