"""`ironworks dap`: the debug adapter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def dap(
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Listen on this port of 127.0.0.1 instead; 0: any that is free."),
    ] = None,
) -> None:
    """Serve debuggers: ST programs in simulated time over the Debug Adapter Protocol.

    On standard input and output, or, with --port, one client after the other on a socket. Nothing that runs
    live is ever stopped.
    """
    from softplc.debug.protocol import Channel
    from softplc.debug.serve import listen
    from softplc.debug.session import Session

    if port is not None:
        listen(port, lambda text: typer.echo(text, err=True))
        return
    Session(Channel(sys.stdin.buffer, sys.stdout.buffer), Path.cwd()).run()


NEEDS: dict[str, tuple[str, ...]] = {"dap": ()}
