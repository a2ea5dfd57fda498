"""Who sits at the console: as whom it is logged in, and how long nobody has touched it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from runtime.client import PlantClient
from runtime.clock import WallClock
from runtime.contract import Clock
from runtime.endpoint import Endpoint
from runtime.errors import PlantError
from runtime.logins import Credentials, credentials, keep_session, kept_session


class Seat:
    """A client of the plant for whoever sits here.

    Who types a secret gets a session of this console alone, which ends with it; others are whom options,
    environment and `ironworks login` name.
    """

    def __init__(
        self, endpoint: Endpoint, user: str | None, ask: Callable[[str], str], clock: Clock | None = None
    ) -> None:
        """`ask` gets the secret of a user from a person where the environment has none.

        Raises:
            PlantError: there is no secret, or it is of no use.
        """
        self._endpoint = endpoint
        self._clock: Clock = clock or WallClock()
        self._touched_ns = self._clock.steady_ns()
        self._session: str | None = None
        self._typed = False

        def typing(name: str) -> str:
            self._typed = True
            return ask(name)

        self._who = credentials(endpoint, user, typing)

    def touch(self) -> None:
        """Note that somebody pressed a key, or a button of the mouse."""
        self._touched_ns = self._clock.steady_ns()

    def idle_s(self) -> float:
        return (self._clock.steady_ns() - self._touched_ns) / 1e9

    async def take(self) -> None:
        """Sit down: open a session where a secret was typed.

        Raises:
            PlantError: the plant does not let the user in, or does not answer.
        """
        if self._typed:
            self._session = await self._log_in(self._who["user"], self._who.pop("secret"))

    def connect(self) -> PlantClient:
        """Return a client; a session that `ironworks login` has opened since then counts as well."""
        return PlantClient(self._endpoint, **self._credentials(), idle_s=self.idle_s)

    def _credentials(self) -> Credentials:
        if self._session:
            mine = Credentials(token=self._session)
            if certificate := self._who.get("certificate"):
                mine["certificate"] = certificate
            return mine
        return self._who if "user" in self._who else credentials(self._endpoint)

    async def sign_in(self, name: str, secret: str) -> None:
        """Go on with a new session instead of the one that is over, kept where that was.

        Raises:
            PlantError: the plant does not let the user in, or does not answer.
        """
        shared = not self._session and self._credentials().get("token") == kept_session(self._endpoint)
        session = await self._log_in(name, secret)
        if shared:
            keep_session(self._endpoint, session)
        else:
            self._session = session

    async def leave(self) -> None:
        """End the session of this console alone."""
        if self._session:
            with suppress(PlantError):  # then it ends by itself
                async with self.connect() as client:
                    await client.end_session(self._session.split("_")[1])

    async def _log_in(self, name: str, secret: str) -> str:
        async with PlantClient(self._endpoint, certificate=self._who.get("certificate")) as client:
            return (await client.log_in(name, secret)).session
