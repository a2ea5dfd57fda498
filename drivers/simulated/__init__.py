"""A device that needs no wires: waveforms, for trying a plant, for load and for tests."""

from drivers.simulated.driver import plugin

__all__ = ["plugin"]
