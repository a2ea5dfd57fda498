"""Simulator: runs an application step by step in simulated time; no wall clock anywhere."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from runtime.errors import PlantError
from softplc.application import Application, Root, Shape, Symbol, UnknownPathError
from softplc.faults import Fault
from softplc.guard import GUARD, Watched
from softplc.image import read_value, write_value
from softplc.layout import DT_NS, FAULT_CODE, NOW_NS, SCAN_COUNT

DEFAULT_DT_NS = 10_000_000
ALIGN = 64
_NS = struct.Struct("<q")


class PlcFaultError(PlantError):
    """A task stopped: what went wrong, and where in the source."""

    def __init__(self, task: str, cause: str, file: str, line: int, code: int) -> None:
        super().__init__(f"{file}:{line}: task {task} stopped: {cause}", "the state is kept and can be read")
        self.task, self.cause, self.file, self.line, self.code = task, cause, file, line, code

    def __reduce__(self) -> tuple[type[PlcFaultError], tuple[str, str, str, int, int]]:
        return (type(self), (self.task, self.cause, self.file, self.line, self.code))


class Simulator:
    """An application with an image of its own.

    The first scan runs at time 0; after each scan time advances by `dt_ns`. A task with an interval
    runs in the scans at or after the times it is due; one without runs in every scan; that named `by_hand`
    in none. A task that does not end within 5 s of real time is stopped with the watchdog's fault.
    """

    def __init__(self, application: Application, by_hand: str = "") -> None:
        from softplc.codegen.loader import load

        self.application = application
        self._loaded = load(application.object_code)
        self._memory = ctypes.create_string_buffer(application.image_size + ALIGN)
        start = -ctypes.addressof(self._memory) % ALIGN
        self.image = memoryview(self._memory).cast("B")[start : start + application.image_size]
        self.image[:] = application.initial_image
        self._address = ctypes.addressof(self._memory) + start
        entry = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
        runs = [(task, entry(self._loaded.address(task.symbol))) for task in application.tasks]
        self._entries = {task.name: run for task, run in runs}
        self._tasks = [(task, run) for task, run in runs if task.name != by_hand]  # names may be the same
        self._watched = Watched(self.image)
        GUARD.watch(self._watched)
        self._due_ns = [0] * len(self._tasks)
        self.now_ns = 0
        self.inputs = Located(self, "I")
        self.outputs = Located(self, "Q")

    def scan(self, n: int = 1, dt_ns: int = DEFAULT_DT_NS) -> None:
        """Run n scans, `dt_ns` of simulated time apart.

        Raises:
            PlcFaultError: a task stopped; its state stays readable.
        """
        put, get, image, due_ns = _NS.pack_into, _NS.unpack_from, self.image, self._due_ns
        tasks = list(enumerate(self._tasks))
        for _ in range(n):
            put(image, NOW_NS, self.now_ns)
            put(image, DT_NS, dt_ns)
            for index, (task, run) in tasks:
                if self.now_ns < due_ns[index]:
                    continue
                if task.interval_ns:
                    late = (self.now_ns - due_ns[index]) // task.interval_ns
                    due_ns[index] += (late + 1) * task.interval_ns
                self._run(task.name, run)
            put(image, SCAN_COUNT, get(image, SCAN_COUNT)[0] + 1)
            self.now_ns += dt_ns

    def run_first(self, symbol: str) -> None:
        """Run what gives variables their first values.

        Raises:
            PlcFaultError: it stopped.
        """
        entry = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
        self._run(symbol, entry(self._loaded.address(symbol)))

    def run_task(self, name: str) -> None:
        """Run a task once, due or not, at the time that the last scan had.

        Raises:
            PlcFaultError: it stopped.
        """
        self._run(name, self._entries[name])

    def _run(self, name: str, run: Callable[[int], int]) -> None:
        self._watched.serial += 1
        failed = run(self._address)
        self._watched.serial += 1
        if failed:
            raise self._fault(name)

    def _fault(self, task: str) -> PlcFaultError:
        code, line, file = struct.unpack_from("<iii", self.image, FAULT_CODE)
        struct.pack_into("<iii", self.image, FAULT_CODE, 0, 0, 0)
        self._watched.clear()
        known = code in Fault.__members__.values()
        cause = Fault(code).text if known else f"fault {code}"
        return PlcFaultError(task, cause, self.application.files[file], line, code)

    def read(self, path: str) -> Any:
        """Return a value: TIME and dates in ns, arrays as lists, structures as dicts.

        Raises:
            UnknownPathError: there is no such variable.
        """
        found = self.application.find(path)
        if isinstance(found, Symbol):
            return read_value(self.image, found)
        _, shape, offset = found
        return self._read_shape(shape, offset)

    def _read_shape(self, shape: Shape, offset: int) -> Any:
        shapes = self.application.shapes
        if shape.kind == "struct":
            return {
                name: self._read_shape(shapes[index], offset + at) for name, at, index, _ in shape.members
            }
        if shape.kind == "array":
            element = shapes[shape.element]
            count = shape.size // shape.stride if shape.stride else 0
            return [self._read_shape(element, offset + i * shape.stride) for i in range(count)]
        symbol = Symbol("", offset, shape.bit, shape.size, shape.type, "", None, False)
        return read_value(self.image, symbol)

    def write(self, path: str, value: Any) -> None:
        """Set a variable; arrays take lists and structures dicts.

        Raises:
            UnknownPathError: there is no such variable.
            PlantError: the value does not fit it.
        """
        found = self.application.find(path)
        if found.read_only if isinstance(found, Symbol) else found[0].read_only:
            raise PlantError(f"{path} is READ_ONLY", "make the access path READ_WRITE")
        if self.application.is_constant(path):
            raise PlantError(f"{path} is a constant", "change it in the program")
        if isinstance(found, Symbol):
            write_value(self.image, found, value)
            return
        root, shape, offset = found
        self._write_shape(root, path, shape, offset, value)

    def _write_shape(self, root: Root, path: str, shape: Shape, offset: int, value: Any) -> None:
        shapes = self.application.shapes
        if shape.kind == "struct" and isinstance(value, dict):
            for name, each in value.items():
                self.write(f"{path}.{name}", each)
        elif shape.kind == "array" and isinstance(value, list | tuple):
            count = shape.size // shape.stride
            if len(value) != count:
                raise PlantError(f"{path} has {count} elements, not {len(value)}")
            for i, each in enumerate(value):
                self._write_shape(root, path, shapes[shape.element], offset + i * shape.stride, each)
        elif shape.kind in ("array", "struct"):
            wanted = "a list" if shape.kind == "array" else "a dict"
            raise PlantError(f"{path} is {shape.name}: it takes {wanted}, not {value!r}")
        else:
            symbol = Symbol(
                path,
                offset,
                shape.bit,
                shape.size,
                shape.type,
                "",
                None,
                False,
                shape.name,
                shape.values,
                limits=shape.limits,
            )
            write_value(self.image, symbol, value)


class Located(MutableMapping[str, Any]):
    """The variables located in a region, by path, by bare name and by direct address."""

    def __init__(self, simulator: Simulator, region: str) -> None:
        self._simulator = simulator
        self._region = region
        self._names: dict[str, str] = {}
        for root in simulator.application.roots:
            if root.address is not None and root.address[1] == region:
                self._names[root.path] = root.path
        self._keys = {path.casefold(): path for path in self._names}
        for path in self._names:
            self._keys.setdefault(path.rsplit(".", 1)[-1].casefold(), path)

    def _path(self, key: str) -> str:
        if key.startswith("%"):
            if key[1:2].upper() != self._region:
                raise UnknownPathError(f"{key} is not in %{self._region}")
            return key
        path = self._keys.get(key.casefold())
        if path is None:
            raise UnknownPathError(f"there is no variable {key!r} located in %{self._region}")
        return path

    def __getitem__(self, key: str) -> Any:
        return self._simulator.read(self._path(key))

    def __setitem__(self, key: str, value: Any) -> None:
        self._simulator.write(self._path(key), value)

    def __delitem__(self, key: str) -> None:
        raise TypeError("located variables cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
