"""Dispatch: requests of one client to what answers them; whatever is wrong is an answer too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from runtime.errors import PlantError
from softplc.debug import protocol as p
from softplc.debug.protocol import Channel, ProtocolError
from softplc.diagnostics import did_you_mean


@dataclass(slots=True)
class Reply:
    """An answer, and what is done once it is on its way."""

    body: dict[str, Any] | None = None
    after: Callable[[], None] | None = None


Handler = tuple[type[p.Arguments] | None, Callable[..., Reply]]


class Dispatch:
    """Reads requests and answers them; `handlers` has the arguments and the method of each."""

    handlers: ClassVar[dict[str, Handler]] = {}

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.is_over = False

    def run(self) -> None:
        """Answer until the client goes."""
        while not self.is_over:
            try:
                message = self.channel.read()
            except EOFError:
                break
            except ProtocolError as exc:
                self.said(f"{exc.text}\n", "stderr")
                break
            except (ValueError, RecursionError) as exc:
                self.said(f"a message is no JSON: {exc}\n", "stderr")
                continue
            self._take(message)

    def _take(self, message: Any) -> None:
        try:
            request = msgspec.convert(message, p.Request)
        except msgspec.ValidationError as exc:
            kind = message.get("type") if isinstance(message, dict) else None
            seq = message.get("seq") if isinstance(message, dict) else None
            if kind != "response":
                self._refuse(seq if isinstance(seq, int) else 0, "", PlantError(f"this is no request: {exc}"))
            return
        try:
            reply = self._answer(request)
        except PlantError as exc:
            self._refuse(request.seq, request.command, exc)
            return
        self._respond(request.seq, request.command, True, body=reply.body)
        if reply.after is not None:
            reply.after()

    def _answer(self, request: p.Request) -> Reply:
        found = self.handlers.get(request.command)
        if found is None:
            raise PlantError(
                f"there is no request {request.command[:60]!r}", did_you_mean(request.command, self.handlers)
            )
        wanted, handler = found
        if wanted is None:
            return handler(self)
        try:
            arguments = msgspec.convert({} if request.arguments is None else request.arguments, wanted)
        except msgspec.ValidationError as exc:
            raise PlantError(f"{request.command}: {exc}", "see the Debug Adapter Protocol") from exc
        return handler(self, arguments)

    def _respond(self, seq: int, command: str, success: bool, **more: Any) -> None:
        head = {"type": "response", "request_seq": seq, "success": success, "command": command}
        self.channel.send(head | {key: value for key, value in more.items() if value is not None})

    def _refuse(self, seq: int, command: str, problem: PlantError) -> None:
        text = f"{problem.text}\n{problem.remedy}" if problem.remedy else problem.text
        body = {
            "error": {
                "id": 1,
                "format": "{text}",
                "variables": {"text": text},
                "showUser": command == "launch",
            }
        }
        self._respond(seq, command, False, message=text, body=body)

    def said(self, text: str, category: str) -> None:
        """Tell the client something that is no answer."""
        self.channel.event("output", {"category": category, "output": text})
