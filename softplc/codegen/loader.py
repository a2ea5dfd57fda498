"""Loader: object code into this process."""

from __future__ import annotations

from functools import cache

import llvmlite.binding as llvm


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


class Loaded:
    """Object code ready to run; keep it as long as any address of it is used."""

    def __init__(self, object_code: bytes) -> None:
        _initialise()
        machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
            opt=2, reloc="pic", codemodel="small"
        )
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
        self._engine.finalize_object()

    def address(self, symbol: str) -> int:
        """Return the address of an exported symbol.

        Raises:
            KeyError: there is no such symbol.
        """
        address = int(self._engine.get_function_address(symbol))
        if not address:
            raise KeyError(symbol)
        return address


def load(object_code: bytes) -> Loaded:
    """Load object code; undefined symbols are looked up in libc and libm."""
    return Loaded(object_code)
