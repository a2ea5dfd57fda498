"""The bottling line: a demo plant."""

from pathlib import Path

FOLDER = Path(__file__).parent
