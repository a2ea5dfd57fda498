"""Measurements of the compiler and the scan core: `ironworks bench ...`."""
