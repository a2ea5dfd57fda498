"""How a driver logs in to what it connects to: a user, whose password is not in the plant file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from drivers.frame.errors import DeniedError
from runtime.config import DriverConfig, FileName


class LoginConfig(DriverConfig):
    """A driver that may log in.

    Attributes:
        user: name to log in with, its password from password_env or password_file.
    """

    user: Annotated[str, Field(max_length=256)] = ""
    password_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    password_file: FileName | None = None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password_env and self.password_file:
            raise ValueError("password_env and password_file: keep one of the two")
        if (self.password_env or self.password_file) and not self.who:
            raise ValueError("a password without a user; name `user` too")
        return self

    @property
    def who(self) -> str:
        """Return whom the password is of."""
        return self.user


def password_of(folder: Path, config: LoginConfig) -> str | None:
    """Return the password to log in with, read anew each time; None where there is none.

    Raises:
        DeniedError: it is not where the plant file says.
    """
    if config.password_env:
        found = os.environ.get(config.password_env)
        if found is None:
            text = f"the variable {config.password_env} is not set"
            raise DeniedError(text, "set it where the plant is started")
        return found
    if config.password_file:
        file = folder / config.password_file
        try:
            return file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
            raise DeniedError(f"{file} cannot be read: {why}", "see password_file") from exc
    return None
