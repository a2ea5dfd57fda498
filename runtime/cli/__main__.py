"""`python -m runtime.cli`: the same as `ironworks`."""

from runtime.cli import main

main()
