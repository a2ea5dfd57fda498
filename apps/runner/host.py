"""The kernel's side of one Python app: gives its process the permitted tags, takes its products."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from apps.errors import AppError, ModelError
from apps.installed import Installed
from apps.models.registry import CARD_FILE
from apps.runner.inlet import Inlet
from apps.runner.outlet import Outlet
from apps.runner.process import Usage, Worker
from apps.runner.protocol import Inputs, Outputs, Ready, Setup
from apps.sdk import Output
from runtime.clock import SECOND_NS
from runtime.config import Plant
from runtime.contract import Batch, Changes, Event, Port
from runtime.errors import PlantError

log = logging.getLogger(__name__)

SETUP_S = 60.0
HUNG_S = 5.0
FIGURES_NS = SECOND_NS
CPU_LOOKS = 10


class AppHost:
    """The component of an app: one process, one step a period, one question under way.

    A step later than its deadline makes the products bad until the answer comes. A worker that is hung,
    dead, too big or talks nonsense is ended, and the component fails: the supervisor starts it anew.
    """

    def __init__(self, installed: Installed, plant: Plant) -> None:
        self.name = installed.name
        self._installed = installed
        self._applied = plant.applied
        self._inlet = Inlet(plant, installed)
        self._products = [plant.tags[each.path] for each in installed.manifest.produces]
        self._root = plant.root
        self._figures = {
            name: plant.tags[f"sys/apps/{self.name}/{name}"]
            for name in ("steps", "deadline_misses", "cpu_pct", "memory_mib")
        }
        self._steps = 0
        self._misses = 0
        self.pid: int | None = None

    async def run(self, port: Port) -> None:
        folder, model = await asyncio.to_thread(self._places)
        if model is not None and not (model / CARD_FILE).is_file():
            raise ModelError("it has no model yet", f"make one: ironworks app fit {self.name}")
        worker = await Worker.start()
        self.pid = worker.process.pid
        changes = port.changes(self._inlet.ids)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(worker.listen())
                group.create_task(worker.watch())
                group.create_task(self._work(port, worker, changes, folder, model))
        except* PlantError as group_error:
            raise group_error.exceptions[0] from None
        finally:
            changes.close()
            await worker.stop()
            self.pid = None

    def _places(self) -> tuple[Path, Path | None]:
        """Return where code and model are, as they were applied."""
        folder, model = self._installed.folder, self._installed.model
        return self._applied.of(folder), None if model is None else self._applied.of(model)

    async def _work(
        self, port: Port, worker: Worker, changes: Changes, folder: Path, model: Path | None
    ) -> None:
        budget, clock = self._installed.manifest.budget, port.clock
        outlet = Outlet(self._root, self._products)
        await self._set_up(worker, folder, model)
        looks = Looks(self._installed)
        due_ns = figures_ns = clock.steady_ns()
        while True:
            now_ns = clock.now_ns()
            answer = await self._step(port, worker, outlet, self._inputs(changes, now_ns))
            outputs = {path: Output(value, quality) for path, (value, quality) in answer.values.items()}
            self._submit(port, outlet.accept(outputs, now_ns))
            self._steps += 1
            for text in outlet.news():
                log.warning("%s: refused %s", self.name, text)
                port.emit(Event("app.refused", self.name, now_ns, text))
            if clock.steady_ns() >= figures_ns:
                figures_ns = clock.steady_ns() + FIGURES_NS
                usage = worker.usage()
                self._tell(port, usage)
                refused = "; ".join(f"{path}: {why}" for path, why in outlet.refused.items())
                complaint = refused or looks.complaint(usage)
                port.health(not complaint, complaint)
            due_ns = max(due_ns + budget.period, clock.steady_ns())
            await clock.sleep_until(due_ns)

    async def _set_up(self, worker: Worker, folder: Path, model: Path | None) -> None:
        installed = self._installed
        setup = Setup(
            folder=str(folder),
            entry=installed.manifest.entry,
            name=self.name,
            parameters=dict(installed.parameters),
            period_ns=installed.manifest.budget.period,
            reads=self._inlet.paths,
            model=None if model is None else str(model),
            memory_mib=installed.manifest.budget.memory_mib,
        )
        try:
            async with asyncio.timeout(SETUP_S):
                answer = await worker.ask(setup)
        except TimeoutError:
            raise AppError(f"it was not ready within {SETUP_S:g} s") from None
        if not isinstance(answer, Ready):
            raise AppError("the worker answered its setup with something else")

    def _inputs(self, changes: Changes, now_ns: int) -> Inputs:
        rows = tuple(
            (index, reading.value, int(reading.quality), reading.source_ns)
            for index, reading in self._inlet.rows(changes.take())
        )
        return Inputs(now_ns, rows)

    async def _step(self, port: Port, worker: Worker, outlet: Outlet, inputs: Inputs) -> Outputs:
        """Ask for a step; past the deadline the products are bad, past patience the worker is hung."""
        deadline_s = self._installed.manifest.budget.deadline / SECOND_NS
        asking = asyncio.create_task(worker.ask(inputs))
        try:
            done, _ = await asyncio.wait({asking}, timeout=deadline_s)
            if not done:
                self._misses += 1
                now_ns = port.clock.now_ns()
                self._submit(port, outlet.silent(now_ns))
                self._submit(port, self._figure("deadline_misses", self._misses, now_ns))
                done, _ = await asyncio.wait({asking}, timeout=HUNG_S)
            if not done:
                worker.kill()
                raise AppError(f"a step took longer than {deadline_s + HUNG_S:g} s; it was ended")
            answer = asking.result()
        finally:
            asking.cancel()
        if not isinstance(answer, Outputs):
            raise AppError("the worker answered a step with something else")
        return answer

    def _tell(self, port: Port, usage: Usage | None) -> None:
        now_ns = port.clock.now_ns()
        self._submit(port, self._figure("steps", self._steps, now_ns))
        self._submit(port, self._figure("deadline_misses", self._misses, now_ns))
        if usage is not None:
            self._submit(port, self._figure("cpu_pct", usage.cpu_pct, now_ns))
            self._submit(port, self._figure("memory_mib", usage.memory_mib, now_ns))

    def _figure(self, name: str, value: float, now_ns: int) -> Batch:
        tag = self._figures[name]
        return Batch.of([tag.id], [tag.data_type.encode(value)], now_ns)

    @staticmethod
    def _submit(port: Port, batch: Batch | None) -> None:
        if batch is not None:
            port.submit(batch)


class Looks:
    """Compares what a worker uses with its budget."""

    def __init__(self, installed: Installed) -> None:
        self._budget = installed.manifest.budget
        self._over = 0

    def complaint(self, usage: Usage | None) -> str:
        """Return what is wrong, nothing when all is well.

        Raises:
            AppError: the worker holds more memory than it may.
        """
        if usage is None:
            return ""
        if usage.memory_mib > self._budget.memory_mib:
            text = f"it uses {usage.memory_mib:.0f} MiB; its budget is {self._budget.memory_mib} MiB"
            raise AppError(text, "raise budget.memory_mib in app.yaml, or make the app smaller")
        allowed_pct = 100 * self._budget.cpu
        self._over = self._over + 1 if usage.cpu_pct > allowed_pct else 0
        if self._over < CPU_LOOKS:
            return ""
        return f"it uses {usage.cpu_pct:.0f} % of a core; its budget is {allowed_pct:.0f} %"
