"""LLVM assembly to object code for the host: verified, O2 (less where a routine is huge).

No fast-math and no fused multiply-add.
"""

from __future__ import annotations

from functools import cache

import llvmlite.binding as llvm

from softplc import ir
from softplc.codegen.emit import Emitter

THREADED = 16  # instructions copied so that a branch whose way is known is not taken again; LLVM's own is 6
LEVELS = ((2, 15_000), (1, 60_000), (0, 1 << 60))  # the optimiser's time grows with the square of a routine


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.set_option("ironworks", f"-jump-threading-threshold={THREADED}")


def _features() -> str:
    """Return what the processor can, without its 512 bits.

    With them scalar comparisons of reals go through mask registers: 100 PIDs took a third longer.
    """
    features = llvm.get_host_cpu_features()
    wide = [name for name in features if name.startswith(("avx512", "avx10"))]
    return str(llvm.FeatureMap({**features, **dict.fromkeys(wide, False)}).flatten())


def assembly(module: ir.Module) -> str:
    """Return the LLVM text of a module."""
    return Emitter().module(module)


def object_code(module: ir.Module, checks: bool = True) -> bytes:
    """Return a relocatable object file for the host."""
    _initialise()
    emitter = Emitter(checks)
    parsed = llvm.parse_assembly(emitter.module(module), llvm.create_context())
    level = next(level for level, lines in LEVELS if emitter.largest <= lines)
    parsed.verify()
    triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=_features(),
        opt=level,
        reloc="pic",
        codemodel="small",
    )
    parsed.triple = triple
    parsed.data_layout = str(machine.target_data)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=level))
    passes = builder.getModulePassManager()
    passes.run(parsed, builder)
    code: bytes = machine.emit_object(parsed)
    return code
