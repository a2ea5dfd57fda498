"""An app in virtual time: the same object as in its process, stepped in this one."""

from __future__ import annotations

import logging

from apps.installed import Installed
from apps.runner.inlet import Inlet
from apps.runner.outlet import Outlet
from apps.runner.session import Session
from apps.sdk import Context
from runtime.config import Plant
from runtime.contract import Batch

log = logging.getLogger(__name__)


class AppStepper:
    """Steps an app at its period."""

    def __init__(self, installed: Installed, plant: Plant) -> None:
        self.name = installed.name
        self.period_ns = installed.manifest.budget.period
        inlet = Inlet(plant, installed)
        self.reads = inlet.ids
        self._inlet = inlet
        self._outlet = Outlet(plant.root, [plant.tags[each.path] for each in installed.manifest.produces])
        context = Context(self.name, installed.parameters, self.period_ns, inlet.paths, installed.model)
        self._session = Session(installed.folder, installed.manifest.entry, context)

    def step(self, now_ns: int, changed: Batch | None) -> Batch | None:
        """Give the app what changed; return what it made."""
        outputs = self._session.step(now_ns, self._inlet.readings(changed))
        batch = self._outlet.accept(outputs, now_ns)
        for text in self._outlet.news():
            log.warning("%s: refused %s", self.name, text)
        return batch
