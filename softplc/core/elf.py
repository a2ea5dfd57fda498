"""A loader for our own object code without LLVM, which would cost the kernel 50 MiB.

It knows the relocations that the compiler emits for x86-64 and aarch64; with anything else, and on
hosts without ELF, `softplc.codegen.loader` does the work.

Source: System V ABI, AMD64 supplement, 4.4; ELF for the Arm 64-bit Architecture, 5.7.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

_HOSTS = {"x86_64": 62, "aarch64": 183}
_X86, _ARM = _HOSTS.values()
_RELOCATABLE, _SYMBOLS, _RELA, _NO_BITS = 1, 2, 4, 8
_WRITE, _ALLOC = 1, 2
_STUB = 16
_PAGE = 4096
_HEADER = struct.Struct("<4sBB10xHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_LDST_SHIFT = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4}


class Code(Protocol):
    """Machine code in this process, there as long as this object is."""

    def address(self, symbol: str) -> int: ...


class UnsupportedError(Exception):
    """The object needs a real linker."""


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


class ObjectFile:
    """A relocatable object: where its sections come to lie, and its symbols.

    Attributes:
        size: bytes that the linked code needs, stubs for outside functions included.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        if len(data) < _HEADER.size:
            raise UnsupportedError("no ELF file")
        magic, bits, order, kind, self.machine, *rest = _HEADER.unpack_from(data)
        if (magic, bits, order, kind) != (b"\x7fELF", 2, 1, _RELOCATABLE):
            raise UnsupportedError("no relocatable 64-bit little-endian ELF file")
        first, size, count = rest[3], rest[8], rest[9]
        self._sections = [_Section(*_SECTION.unpack_from(data, first + size * k)) for k in range(count)]
        self._places: dict[int, int] = {}
        end = 0
        for index, section in enumerate(self._sections):
            if section.flags & _ALLOC and section.size:
                if section.flags & _WRITE:
                    raise UnsupportedError("writable data")
                align = max(section.align, 1)
                end = -(-end // align) * align
                self._places[index] = end
                end += section.size
        self._table = self._read_symbols()
        self._stubs = -(-end // _STUB) * _STUB
        outside = sum(1 for _, index, _ in self._table if index == 0)
        self.size = self._stubs + _STUB * outside

    def _read_symbols(self) -> list[tuple[str, int, int]]:
        """Return (name, section, value) of each symbol."""
        data = self._data
        for section in self._sections:
            if section.type == _SYMBOLS:
                names = self._sections[section.link].offset
                table = []
                for at in range(section.offset, section.offset + section.size, _SYMBOL.size):
                    name, _, _, index, value, _ = _SYMBOL.unpack_from(data, at)
                    start = names + name
                    table.append((data[start : data.index(b"\0", start)].decode(), index, value))
                return table
        return []

    def symbols(self, base: int) -> dict[str, int]:
        """Return the addresses of the object's own symbols."""
        return {
            name: base + self._places[index] + value
            for name, index, value in self._table
            if name and index in self._places
        }

    def link(self, base: int, resolve: Callable[[str], int]) -> bytes:
        """Return the code as it must lie at `base`.

        Raises:
            UnsupportedError: a relocation that we do not know, or an unknown function.
        """
        out = bytearray(self.size)
        for index, place in self._places.items():
            section = self._sections[index]
            if section.type != _NO_BITS:
                out[place : place + section.size] = self._data[section.offset : section.offset + section.size]
        stubs: dict[str, int] = {}
        for section in self._sections:
            if section.type != _RELA or section.info not in self._places:
                continue
            for at in range(section.offset, section.offset + section.size, _RELOCATION.size):
                offset, info, addend = _RELOCATION.unpack_from(self._data, at)
                name, index, value = self._table[info >> 32]
                if index in self._places:
                    target = self._places[index] + value
                elif index == 0:
                    if name not in stubs:
                        stubs[name] = self._stubs + _STUB * len(stubs)
                        out[stubs[name] : stubs[name] + _STUB] = self._stub(resolve(name))
                    target = stubs[name]
                else:
                    raise UnsupportedError(f"symbol {name} in section {index}")
                where = self._places[section.info] + offset
                self._relocate(out, base, where, info & 0xFFFF_FFFF, target + addend)
        return bytes(out)

    def _stub(self, address: int) -> bytes:
        """Return code that jumps to an address anywhere."""
        if self.machine == _X86:
            return b"\xff\x25\0\0\0\0" + struct.pack("<Q", address) + b"\0\0"  # jmp [rip]
        return struct.pack("<IIQ", 0x5800_0050, 0xD61F_0200, address)  # ldr x16, .+8; br x16

    def _relocate(self, out: bytearray, base: int, where: int, kind: int, target: int) -> None:
        """Write one relocation; `where` and `target` count from `base`."""
        distance = target - where
        match self.machine, kind:
            case (62, 1) | (183, 257):
                struct.pack_into("<Q", out, where, base + target)
            case (62, 2 | 4) | (183, 261):
                struct.pack_into("<i", out, where, distance)
            case (62, 24) | (183, 260):
                struct.pack_into("<q", out, where, distance)
            case (183, 275):
                pages = ((base + target) // _PAGE - (base + where) // _PAGE) & 0x1F_FFFF
                self._patch(out, where, 0x9F00_001F, (pages & 3) << 29 | (pages >> 2) << 5)
            case (183, 277 | 278 | 284 | 285 | 286 | 299):
                low = (base + target) % _PAGE >> _LDST_SHIFT[kind]
                self._patch(out, where, 0xFFC0_03FF, low << 10)
            case (183, 282 | 283):
                self._patch(out, where, 0xFC00_0000, distance >> 2 & 0x3FF_FFFF)
            case _:
                raise UnsupportedError(f"relocation {kind} of machine {self.machine}")

    @staticmethod
    def _patch(out: bytearray, where: int, keep: int, bits: int) -> None:
        (word,) = struct.unpack_from("<I", out, where)
        struct.pack_into("<I", out, where, word & keep | bits)


class _Linked:
    """Code in an executable mapping."""

    def __init__(self, object_code: bytes) -> None:
        file = ObjectFile(object_code)
        if _HOSTS.get(platform.machine()) != file.machine or not hasattr(os, "memfd_create"):
            raise UnsupportedError("another kind of host")
        # The mapping is never writable: the bytes go in through the file, before the first page is
        # touched, so that the kernel keeps the instruction cache right where the processor does not.
        fd = os.memfd_create("plc", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, file.size)
            self._memory = _Mapping(fd, file.size)
            os.pwrite(fd, file.link(self._memory.address, _resolve), 0)
        finally:
            os.close(fd)
        self._symbols = file.symbols(self._memory.address)

    def address(self, symbol: str) -> int:
        """Return the address of an exported symbol.

        Raises:
            KeyError: there is no such symbol.
        """
        return self._symbols[symbol]


class _Mapping:
    """Executable memory of a file; `mmap.mmap` would not tell its address."""

    def __init__(self, fd: int, size: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mmap.restype = ctypes.c_void_p
        self._libc.mmap.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
        ]  # fmt: skip
        self._libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self._size = size
        found = self._libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_SHARED, fd, 0)
        if found == ctypes.c_void_p(-1).value:
            raise UnsupportedError(os.strerror(ctypes.get_errno()))
        self.address = int(found)

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self._libc.munmap(self.address, self._size)


def _resolve(name: str) -> int:
    for library in (None, "libm.so.6"):
        try:
            function = getattr(ctypes.CDLL(library), name)
        except (OSError, AttributeError):
            continue
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    raise UnsupportedError(f"unknown function {name}")


def load(object_code: bytes) -> Code:
    """Load object code into this process; undefined symbols are looked up in libc and libm."""
    try:
        return _Linked(object_code)
    except UnsupportedError:
        from softplc.codegen.loader import load as load_with_llvm

        return load_with_llvm(object_code)
