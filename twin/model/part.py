"""The base of what a plant model is made of."""

from __future__ import annotations

from pydantic import ConfigDict

from runtime.config import Section


class Part(Section):
    """A part of a plant model: all its numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False)
