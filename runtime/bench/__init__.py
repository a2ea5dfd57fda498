"""Measurements: what a bench is, and how its figures are told. Public to every package."""

from runtime.bench.report import Figure, report

__all__ = ["Figure", "report"]
