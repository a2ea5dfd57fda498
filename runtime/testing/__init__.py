"""Fakes and fixtures for tests of components, plants and apps. Public."""

from runtime.testing.fakeport import FakePort

__all__ = ["FakePort"]
