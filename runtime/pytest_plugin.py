"""pytest fixtures for a plant's own tests, found by pytest through an entry point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runtime.testing.virtual import VirtualPlant


@pytest.fixture
def plant_folder(request: pytest.FixtureRequest) -> Path:
    """The nearest folder above the test that holds a plant.yaml."""
    for folder in request.path.parents:
        if (folder / "plant.yaml").is_file():
            return folder
    pytest.fail("no plant.yaml in any folder above this test")


@pytest.fixture
def plant(plant_folder: Path) -> VirtualPlant:
    """The plant in virtual time, at its start: `plant.run_for("30s")`, `plant["tank/level_pct"]`."""
    from runtime.testing.virtual import VirtualPlant

    return VirtualPlant(plant_folder)
