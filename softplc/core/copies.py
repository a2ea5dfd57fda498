"""Native code that copies the image, or parts of it, between two scans for whoever asked."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from softplc.core.emit import Function, i64, pointer, void
from softplc.core.layout import Control, Range


class Copies:
    """Adds the functions to a module; `copy` is memcpy."""

    def __init__(self, module: ir.Module, copy: Any) -> None:
        self.module = module
        self._copy = copy
        self.serve = self._serve()
        self._read_whole()
        self._post()
        self._word()

    def _serve(self) -> Function:
        """Answer who asked for the whole image, and who watches: (control)."""
        fn = Function(self.module, "serve_copies", void, pointer, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        image = control.pointer("image")
        wanted = control.atomic("copy_wanted")
        with b.if_then(fn.is_(wanted, "!=", control["copy_done"]), likely=False):
            fn.call(self._copy, control.pointer("copy"), image, control["image_size"])
            control.publish("copy_done", wanted)
        wanted = control.atomic("watch_wanted")
        with b.if_then(fn.is_(wanted, "!=", control["watch_done"]), likely=False):
            ranges, to = control.pointer("watch"), b.alloca(pointer)
            to.type = pointer
            b.store(control.pointer("watched"), to)
            with fn.each(control["watch_count"]) as index:
                part = fn.element(ranges, index, Range)
                place = fn.load(to, pointer)
                fn.call(self._copy, place, fn.at(image, part["offset"]), part["size"])
                b.store(fn.at(place, part["size"]), to)
            control["watch_scans"] = control["scans"]
            control["watch_at_ns"] = control["scanned_ns"]
            control.publish("watch_done", wanted)
        b.ret_void()
        return fn

    def _read_whole(self) -> None:
        """Copy what a sequence guards: (sequence, from, to, bytes) -> that, or -1 if it was being written."""
        fn = Function(self.module, "iw_read_whole", i64, pointer, pointer, pointer, i64)
        b = fn.b
        before = fn.load_atomic(fn.args[0], "acquire")
        with b.if_then(fn.any_bit(before, 1)):
            b.ret(i64(-1))
        fn.call(self._copy, fn.args[2], fn.args[1], fn.args[3])
        b.fence("acquire")
        same = b.icmp_signed("==", fn.load_atomic(fn.args[0], "monotonic"), before)
        b.ret(b.select(same, before, i64(-1)))

    def _post(self) -> None:
        """Count a word of the block up, after all that was written before: (word)."""
        fn = Function(self.module, "iw_post", void, pointer)
        fn.b.atomic_rmw("add", fn.args[0], i64(1), "release")
        fn.b.ret_void()

    def _word(self) -> None:
        """Read a word of the block, before all that is read after: (word)."""
        fn = Function(self.module, "iw_word", i64, pointer)
        fn.b.ret(fn.load_atomic(fn.args[0], "acquire"))
