"""Fakes and fixtures for tests of components, plants and apps. Public."""

from runtime.testing.fakeport import FakePort
from runtime.testing.virtual import VirtualPlant

__all__ = ["FakePort", "VirtualPlant"]
