"""Pointers to LLVM text: each access through one lies in its object, or faults.

A pointer is an i128: 64 bits of position in the image, 32 of where its object begins, 31 of where it ends,
and one that says that the object is the text of a string: behind its length this reads as 0, writing 0
shortens it, and writing anything else behind its end makes it longer (what lies between becomes 0).
"""

from __future__ import annotations

from softplc import ir
from softplc.codegen.writer import Writer
from softplc.faults import Fault
from softplc.iectypes import BOOL, Elementary


class Pointers(Writer):
    """Writes what is done with pointers."""

    def object_address(self, place: ir.Place) -> str:
        """Return the address of a place behind a pointer, after its checks."""
        pointer, at = self._followed(place)
        if not place.begin:
            low, high = self._bounds(pointer)
            text = self.add(f"lshr i128 {pointer}, 127")
            high = self.add(f"sub i64 {high}, {self.add(f'trunc i128 {text} to i64')}")
            end = self.add(f"add i64 {at}, {place.size}")
            outside = self.add(
                f"or i1 {self.add(f'icmp ult i64 {at}, {low}')}, {self.add(f'icmp ugt i64 {end}, {high}')}"
            )
            self.fault_if(outside, Fault.POINTER_OUT_OF_OBJECT, place.line)
        return self.add(f"getelementptr i8, ptr %img, i64 {at}")

    def _followed(self, place: ir.Place) -> tuple[str, str]:
        """Return a pointer that is not NULL, and the position that a place behind it has."""
        if place.address is None:
            raise AssertionError("object without pointer")
        pointer = self.value(place.address)
        at = self.add(f"trunc i128 {pointer} to i64")
        self.fault_if(self.add(f"icmp eq i64 {at}, 0"), Fault.NULL_REFERENCE, place.line)
        if place.begin:
            moved = self.add(f"icmp ne i64 {at}, {self._bounds(pointer)[0]}")
            self.fault_if(moved, Fault.POINTER_OUT_OF_OBJECT, place.line)
        for step in place.steps:
            at = self.add(f"add i64 {at}, {self.step(step)}")
        return pointer, self.add(f"add i64 {at}, {place.offset}") if place.offset else at

    def _bounds(self, pointer: str) -> tuple[str, str]:
        wide = self.add(f"lshr i128 {pointer}, 64")
        low = self.add(f"and i64 {self.add(f'trunc i128 {wide} to i64')}, 4294967295")
        wide = self.add(f"lshr i128 {pointer}, 96")
        return low, self.add(f"and i64 {self.add(f'trunc i128 {wide} to i64')}, 2147483647")

    def peek(self, place: ir.Place) -> str:
        """Load one byte through a pointer."""
        self.emitter.uses_pointers = True
        pointer, at = self._followed(place)
        wide = self.add(f"call i32 @iw.peek(ptr %img, i128 {pointer}, i64 {at})")
        self.fault_if(self.add(f"icmp slt i32 {wide}, 0"), Fault.POINTER_OUT_OF_OBJECT, place.line)
        return self.add(f"trunc i32 {wide} to i8")

    def poke(self, type_: Elementary, place: ir.Place, value: str) -> None:
        """Store one byte, or one bit of it, through a pointer."""
        self.emitter.uses_pointers = True
        pointer, at = self._followed(place)
        byte = self.add(f"zext i1 {value} to i8") if type_ is BOOL else value
        if place.bit >= 0:
            wide = self.add(f"call i32 @iw.peek(ptr %img, i128 {pointer}, i64 {at})")
            kept = self.add(f"and i8 {self.add(f'trunc i32 {wide} to i8')}, {255 - (1 << place.bit)}")
            byte = self.add(f"or i8 {kept}, {self.add(f'shl i8 {byte}, {place.bit}')}")
        done = self.add(f"call i1 @iw.poke(ptr %img, i128 {pointer}, i64 {at}, i8 {byte})")
        self.fault_if(self.add(f"xor i1 {done}, true"), Fault.POINTER_OUT_OF_OBJECT, place.line)

    def pointer_to(self, expr: ir.PointerTo) -> str:
        """Make a pointer; what lies outside of the image is refused, so that no stack is ever reached."""
        start = self.add("ptrtoint ptr %img to i64")
        low = self.add(f"sub i64 {self.add(f'ptrtoint ptr {self.address(expr.object)} to i64')}, {start}")
        at = low
        if expr.place is not expr.object:
            at = self.add(f"sub i64 {self.add(f'ptrtoint ptr {self.address(expr.place)} to i64')}, {start}")
        high = self.add(f"add i64 {low}, {expr.size}")
        outside = self.add(f"icmp ugt i64 {low}, {max(expr.limit - expr.size, 0)}")
        self.fault_if(outside, Fault.POINTER_OUT_OF_OBJECT, expr.line)
        return self._packed(at, low, high)

    def _packed(self, at: str, low: str, high: str) -> str:
        begin = self.add(f"shl i128 {self.add(f'zext i64 {low} to i128')}, 64")
        end = self.add(f"shl i128 {self.add(f'zext i64 {high} to i128')}, 96")
        both = self.add(f"or i128 {begin}, {end}")
        return self.add(f"or i128 {both}, {self.add(f'zext i64 {at} to i128')}")

    def pointer_op(self, expr: ir.PointerOp) -> str:
        pointer = self.value(expr.pointer)
        at = self.add(f"trunc i128 {pointer} to i64")
        if expr.op == "position":
            return at
        if expr.op == "text":
            self.emitter.uses_pointers = True
            return self.add(f"call i128 @iw.text(ptr %img, i128 {pointer})")
        if expr.bytes is None:
            raise AssertionError("a move by nothing")
        moved = self.add(f"add i64 {at}, {self.value(expr.bytes)}")
        rest = self.add(f"and i128 {pointer}, -18446744073709551616")
        return self.add(f"or i128 {rest}, {self.add(f'zext i64 {moved} to i128')}")

    def address(self, place: ir.Place) -> str:
        """Return a pointer to a place, after its index checks."""
        raise NotImplementedError


HELPERS = r"""
define internal i32 @iw.peek(ptr %img, i128 %p, i64 %at) nounwind {
entry:
  %low0 = lshr i128 %p, 64
  %low1 = trunc i128 %low0 to i64
  %low = and i64 %low1, 4294967295
  %high0 = lshr i128 %p, 96
  %high1 = trunc i128 %high0 to i64
  %high = and i64 %high1, 2147483647
  %before = icmp ult i64 %at, %low
  %behind = icmp uge i64 %at, %high
  %outside = or i1 %before, %behind
  br i1 %outside, label %bad, label %good
bad:
  ret i32 -1
good:
  %text = icmp slt i128 %p, 0
  br i1 %text, label %string, label %plain
string:
  %start = getelementptr i8, ptr %img, i64 %low
  %header = getelementptr i8, ptr %start, i64 -4
  %len16 = load i16, ptr %header, align 1
  %len = zext i16 %len16 to i64
  %k = sub i64 %at, %low
  %inside = icmp ult i64 %k, %len
  br i1 %inside, label %plain, label %zero
zero:
  ret i32 0
plain:
  %there = getelementptr i8, ptr %img, i64 %at
  %byte = load i8, ptr %there, align 1
  %wide = zext i8 %byte to i32
  ret i32 %wide
}

define internal i1 @iw.poke(ptr %img, i128 %p, i64 %at, i8 %v) nounwind {
entry:
  %low0 = lshr i128 %p, 64
  %low1 = trunc i128 %low0 to i64
  %low = and i64 %low1, 4294967295
  %high0 = lshr i128 %p, 96
  %high1 = trunc i128 %high0 to i64
  %high = and i64 %high1, 2147483647
  %before = icmp ult i64 %at, %low
  %behind = icmp uge i64 %at, %high
  %outside = or i1 %before, %behind
  br i1 %outside, label %bad, label %good
bad:
  ret i1 false
good:
  %there = getelementptr i8, ptr %img, i64 %at
  %text = icmp slt i128 %p, 0
  br i1 %text, label %string, label %plain
plain:
  store i8 %v, ptr %there, align 1
  ret i1 true
string:
  %start = getelementptr i8, ptr %img, i64 %low
  %header = getelementptr i8, ptr %start, i64 -4
  %capp = getelementptr i8, ptr %start, i64 -2
  %len16 = load i16, ptr %header, align 1
  %cap16 = load i16, ptr %capp, align 1
  %len = zext i16 %len16 to i64
  %cap = zext i16 %cap16 to i64
  %k = sub i64 %at, %low
  %k16 = trunc i64 %k to i16
  %inside = icmp ult i64 %k, %len
  %ends = icmp eq i8 %v, 0
  br i1 %ends, label %shorten, label %write
shorten:
  br i1 %inside, label %cut, label %done
cut:
  store i16 %k16, ptr %header, align 1
  br label %done
done:
  ret i1 true
write:
  %fits = icmp ult i64 %k, %cap
  br i1 %fits, label %room, label %bad
room:
  br i1 %inside, label %plain, label %longer
longer:
  %gap = sub i64 %k, %len
  %from = getelementptr i8, ptr %start, i64 %len
  call void @llvm.memset.p0.i64(ptr %from, i8 0, i64 %gap, i1 false)
  %more = add i16 %k16, 1
  store i16 %more, ptr %header, align 1
  br label %plain
}

define internal i128 @iw.text(ptr %img, i128 %p) nounwind {
entry:
  %at = trunc i128 %p to i64
  %null = icmp eq i64 %at, 0
  br i1 %null, label %none, label %string
none:
  ret i128 0
string:
  %low0 = lshr i128 %p, 64
  %low1 = trunc i128 %low0 to i64
  %low = and i64 %low1, 4294967295
  %start = getelementptr i8, ptr %img, i64 %low
  %capp = getelementptr i8, ptr %start, i64 2
  %cap16 = load i16, ptr %capp, align 1
  %cap = zext i16 %cap16 to i64
  %first = add i64 %low, 4
  %last = add i64 %first, %cap
  %high = add i64 %last, 1
  %begin0 = zext i64 %first to i128
  %begin = shl i128 %begin0, 64
  %flagged = or i64 %high, 2147483648
  %end0 = zext i64 %flagged to i128
  %end = shl i128 %end0, 96
  %moved = add i64 %at, 4
  %position = zext i64 %moved to i128
  %both = or i128 %begin, %end
  %all = or i128 %both, %position
  ret i128 %all
}
"""
