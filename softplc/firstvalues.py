"""First values: what FB_Init leaves in the initial image, found by running it when the program is compiled.

The code is that of the program, under the simulator's watchdog. It sees what a program has before its first
scan: inputs as they are declared, and no time. So the image is the same at whatever time a cold start is.
"""

from __future__ import annotations

import struct

from softplc.application import Application
from softplc.diagnostics import CompileError, Diagnostic
from softplc.faults import operands_text
from softplc.ir import Module
from softplc.layout import DT_NS, FAULT_OPERANDS, FAULT_UNIT, NOW_NS
from softplc.simulator import PlcFaultError, Simulator

OTHER_NS = 0x0123_4567_89AB_CDEF


def first_values(application: Application, module: Module, kept: range) -> bytes:
    """Return the initial image after the first calls; of what is no variable, only bytes that are `kept`.

    Others are what calls have handed over: addresses of this process.

    Raises:
        CompileError: they stopped, or depend on the time.
    """
    ran, later = (_ran(application, module.first, now_ns) for now_ns in (0, OTHER_NS))
    image = bytearray(application.initial_image)
    regions = (application.regions[name] for name in "IQM")
    parts = [range(each.offset, each.offset + each.size) for each in regions]
    for root in (*application.roots, *application.hidden):
        own = _parts(application, root.shape, root.offset)
        if any(ran[each.start : each.stop] != later[each.start : each.stop] for each in own):
            raise CompileError([_timed(root.path, *module.places[root.path])])
        parts += own
    for part in (*parts, kept):
        image[part.start : part.stop] = ran[part.start : part.stop]
    return bytes(image)


def _ran(application: Application, symbol: str, now_ns: int) -> memoryview:
    """Return an image in which the first calls have run at a time."""
    simulator = Simulator(application)
    for at in (NOW_NS, DT_NS):
        struct.pack_into("<q", simulator.image, at, now_ns)
    try:
        simulator.run_first(symbol)
    except PlcFaultError as fault:
        raise CompileError([_told(fault, simulator)]) from fault
    return simulator.image


def _parts(application: Application, index: int, offset: int) -> list[range]:
    """Return the bytes of a variable; what lies between the members of a block may be addresses."""
    shape = application.shapes[index]
    if shape.kind == "struct":
        members = (*shape.members, *shape.hidden)
        return [part for _, at, inner, _ in members for part in _parts(application, inner, offset + at)]
    if shape.kind == "array" and application.shapes[shape.element].kind in ("array", "struct"):
        places = range(offset, offset + shape.size, max(shape.stride, 1))
        return [part for place in places for part in _parts(application, shape.element, place)]
    return [range(offset, offset + max(shape.size, 1))]


def _told(fault: PlcFaultError, simulator: Simulator) -> Diagnostic:
    a, b, c = (struct.unpack_from("<q", simulator.image, at)[0] for at in FAULT_OPERANDS)
    unit, unsigned = struct.unpack_from("<ii", simulator.image, FAULT_UNIT)
    units = simulator.application.units
    name = units[unit] if 0 <= unit < len(units) else ""
    operands = operands_text(fault.code, (a, b, c), unsigned=bool(unsigned))
    where, what = f" in {name}" if name else "", f" ({operands})" if operands else ""
    message = f"stopped before the first scan: {fault.cause}{where}{what}"
    remedy = "FB_Init runs when the program is compiled: it has to come to its end"
    return Diagnostic("ST9003", message, 0, 0, remedy, file=fault.file, line=fault.line, column=1)


def _timed(path: str, file: str, line: int) -> Diagnostic:
    message = f"FB_Init gives {path} a value that depends on the time"
    remedy = "there is no time before the first scan: call TIME() and timers in the body"
    return Diagnostic("ST9003", message, 0, 0, remedy, file=file, line=line, column=1)
