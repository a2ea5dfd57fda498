"""Errors of apps, told to people."""

from __future__ import annotations

from runtime.errors import PlantError


class AppError(PlantError):
    """An app cannot be loaded, failed in a step, or went beyond its budget."""


class ModelError(PlantError):
    """A model is missing, damaged, or does not answer as it did when it was made."""


class FitError(PlantError):
    """A model cannot be fitted on this history; says why."""
