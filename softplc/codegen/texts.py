"""Strings to LLVM text.

What is known when the program is compiled is done in place: constants are compared and copied without a call
where there is room, and a text is built in the variable that takes it where nothing of it is read meanwhile.
"""

from __future__ import annotations

from softplc import ir
from softplc.codegen.expressions import Expressions
from softplc.codegen.ranges import is_harmless, is_inside
from softplc.codegen.values import value_type
from softplc.iectypes import LREAL, STRING_HEADER, WCHAR

ALL = 1 << 30
SHORT = 64  # bytes of a constant that is copied or compared in place


class Texts(Expressions):
    """Writes what is done with strings."""

    def text(self, text: ir.Text) -> str:
        """Return a pointer to a string, after what must run first."""
        self.emitter.uses_strings = True
        self.emitter.uses_wide |= text.wide
        self.block_of(text.body)
        if text.constant is not None:
            return self.emitter.data(text.constant)
        if text.place is None:
            raise AssertionError("string without place")
        return self.address(text.place)

    @staticmethod
    def family(wide: bool) -> str:
        """Return which of the string helpers to call."""
        return "wstr" if wide else "str"

    def query(self, expr: ir.Query) -> str:
        """Write a question about strings: length, order, place of one in another."""
        strings = [self.text(each) for each in expr.strings]
        kind = value_type(expr.type)
        if expr.op == "length":
            return self._length(strings[0])
        sought = _short(expr.strings[-1])
        if expr.op == "find" and sought is not None and len(sought) == 1:
            return self._find_character(strings[0], sought[0])
        arguments = ", ".join(f"ptr {each}" for each in strings)
        return self.add(f"call {kind} @iw.{self.family(expr.strings[0].wide)}.{expr.op}({arguments})")

    def _find_character(self, text: str, code: int) -> str:
        length = self.add(f"zext i16 {self._length(text)} to i64")
        body = self._characters(text)
        found = self.add(f"call ptr @memchr(ptr {body}, i32 {code}, i64 {length})")
        ends = (self.add(f"ptrtoint ptr {each} to i64") for each in (found, body))
        place = self.add(f"add i64 {self.add('sub i64 {}, {}'.format(*ends))}, 1")
        short = self.add(f"trunc i64 {place} to i16")
        return self.add(f"select i1 {self.add(f'icmp eq ptr {found}, null')}, i16 0, i16 {short}")

    def same_text(self, left: ir.Text, right: ir.Text) -> str | None:
        """Compare a string with a constant for being the same; None where that is not known to be short."""
        constant = _short(right)
        if constant is None or left.wide:
            return None
        text = self.text(left)
        length = self._length(text)
        fits = self.add(f"icmp eq i16 {length}, {len(constant)}")
        if not constant:
            return fits
        look, end = self.label("look"), self.label("end")
        came = self.block
        self.branch(fits, look, end)
        self.start(look)
        body, wanted = self._characters(text), self._characters(self.text(right))
        order = self.add(f"call i32 @memcmp(ptr {body}, ptr {wanted}, i64 {len(constant)})")
        same = self.add(f"icmp eq i32 {order}, 0")
        self.jump(end)
        self.start(end)
        return self.add(f"phi i1 [ false, %{came} ], [ {same}, %{look} ]")

    def _length(self, text: str) -> str:
        return self.add(f"load i16, ptr {text}, align 1{self.emitter.tag(ir.LENGTH)}")

    def _set_length(self, text: str, length: str) -> None:
        self.do(f"store i16 {length}, ptr {text}, align 1{self.emitter.tag(ir.LENGTH)}")

    def _characters(self, text: str) -> str:
        return self.add(f"getelementptr inbounds i8, ptr {text}, i64 {STRING_HEADER}")

    # Statements ----------------------------------------------------------------------------------

    def string(self, node: ir.Clear | ir.Append | ir.AppendNumber | ir.SetText | ir.Splice) -> None:
        """Write a statement that makes or changes a string."""
        self.emitter.uses_strings = True
        if isinstance(node, ir.Clear):
            target = self.address(node.target)
            self._set_length(target, "0")
            if node.capacity >= 0 and not self._is_renamed(node.target):
                if node.target.base == "slot":
                    self.capacities[node.target.slot] = node.capacity
                place = self.add(f"getelementptr inbounds i8, ptr {target}, i64 2")
                tag = self.emitter.tag(ir.CAPACITY)
                self.do(f"store i16 {node.capacity}, ptr {place}, align 1{tag}")
        elif isinstance(node, ir.SetText):
            self._set(node)
        elif isinstance(node, ir.Splice):
            self._splice(node)
        elif isinstance(node, ir.Append):
            self._append(node)
        else:
            self._append_number(node)

    def _set(self, node: ir.SetText) -> None:
        if self._built_in_place(node):
            return
        source = self.text(node.source)
        target = self.address(node.target)
        constant = _short(node.source)
        limit = self._capacity(node.target, target, node.capacity)
        call = f"call void @iw.{self.family(node.source.wide)}.set(ptr {target}, ptr {source}, i64 {limit})"
        if constant is None:
            self.do(call)
        else:
            self._copied(target, "0", limit, source, len(constant), call)

    def _splice(self, node: ir.Splice) -> None:
        """Change a part of a text where it lies."""
        self.emitter.uses_wide |= node.wide
        start, count = self.value(node.start), self.value(node.count)
        target = given = self.address(node.target)
        length = "0"
        if node.source is not None:
            given = self.text(node.source)
            length = self.add(f"zext i16 {self._length(given)} to i64")
        arguments = f"ptr {target}, i64 {start}, i64 {count}, ptr {self._characters(given)}, i64 {length}"
        self.do(f"call void @iw.{self.family(node.wide)}.splice({arguments}, i64 {node.capacity})")

    def _capacity(self, place: ir.Place, address: str, known: int = -1) -> str:
        """Return how many characters a text has room for."""
        if known < 0 and place.base == "slot":
            known = self.capacities.get(place.slot, -1)
        if known >= 0:
            return str(known)
        there = self.add(f"getelementptr inbounds i8, ptr {address}, i64 2")
        limit = self.add(f"load i16, ptr {there}, align 1{self.emitter.tag(ir.CAPACITY)}")
        return self.add(f"zext i16 {limit} to i64")

    def _append(self, node: ir.Append) -> None:
        source = self.text(node.source)
        family = self.family(node.wide)
        self.emitter.uses_wide |= node.wide
        if node.wide != node.source.wide:
            self.do(f"call void @iw.{family}.convert(ptr {self.address(node.target)}, ptr {source})")
            return
        start = self.value(node.start) if node.start is not None else "0"
        count = self.value(node.count) if node.count is not None else str(ALL)
        target = self.address(node.target)
        constant = _short(node.source) if node.start is None and node.count is None else None
        limit = self._capacity(node.target, target)
        arguments = f"ptr {target}, ptr {source}, i64 {start}, i64 {count}, i64 {limit}"
        call = f"call void @iw.{family}.append({arguments})"
        if constant is None:
            self.do(call)
        else:
            length = self.add(f"zext i16 {self._length(target)} to i64")
            self._copied(target, length, limit, source, len(constant), call)

    def _copied(self, target: str, length: str, limit: str, source: str, count: int, otherwise: str) -> None:
        """Put a short constant at the end of a text; call what cuts it where there is no room."""
        total = self.add(f"add i64 {length}, {count}")
        fits = self.add(f"icmp uge i64 {limit}, {total}")
        copy, cut, end = self.label("copy"), self.label("cut"), self.label("end")
        self.do(f"br i1 {fits}, label %{copy}, label %{cut}, !prof !2")
        self.start(copy)
        if count:
            there = self.add(f"getelementptr inbounds i8, ptr {self._characters(target)}, i64 {length}")
            data = self._characters(source)
            tag = self.emitter.tag(ir.UNITS)
            self.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {there}, ptr {data}, i64 {count}, i1 false){tag}")
        self._set_length(target, self.add(f"trunc i64 {total} to i16"))
        self.jump(end)
        self.start(cut)
        self.do(otherwise)
        self.jump(end)
        self.start(end)

    def _append_number(self, node: ir.AppendNumber) -> None:
        if node.style == "real":
            value = self.value(
                node.value if node.value.type is LREAL else ir.Convert(LREAL, node.value, "wrap")
            )
            target = self.address(node.target)
            self.do(f"call void @iw.str.real(ptr {target}, double {value}, i32 {node.digits})")
        elif node.style == "char":
            wide = node.value.type is WCHAR
            self.emitter.uses_wide |= wide
            value, unit = self.value(node.value), value_type(node.value.type)
            self.do(
                f"call void @iw.{self.family(wide)}.char(ptr {self.address(node.target)}, {unit} {value})"
            )
        else:
            value = self.value(node.value)
            self.do(f"call void @iw.str.{node.style}(ptr {self.address(node.target)}, i64 {value})")

    # Texts built where they belong ---------------------------------------------------------------

    def _is_renamed(self, place: ir.Place) -> bool:
        return place.base == "slot" and place.slot in self.renamed

    def _built_in_place(self, node: ir.SetText) -> bool:
        """Build a text in its variable, if nothing that is read for it can be in that variable or fault."""
        slot, target, body = node.source.place, node.target, node.source.body
        if slot is None or slot.base != "slot" or not body or not _is_clear(body[0], slot):
            return False
        if not target.tag or not all(is_inside(each, self.ranges) for each in target.steps):
            return False
        rest = body[1:]
        longer = bool(rest) and _takes_all(rest[0], target)
        if longer:
            rest = rest[1:]
        if not all(self._is_apart(each, slot, target) for each in rest):
            return False
        self.renamed[slot.slot] = self.address(target)
        self.capacities[slot.slot] = node.capacity
        self.block_of(rest if longer else body)
        del self.renamed[slot.slot]
        return True

    def _is_apart(self, node: ir.Stmt, slot: ir.Place, target: ir.Place) -> bool:
        """Tell whether a statement changes only slots, reads nothing of the target and cannot fault."""
        if isinstance(node, ir.Clear):
            return node.target.base == "slot" and node.target.slot != slot.slot
        if isinstance(node, ir.Store):
            return node.place.base == "slot" and node.limits is None and self._is_free(node.value, target)
        if isinstance(node, ir.AppendNumber):
            return node.target.base == "slot" and self._is_free(node.value, target)
        if isinstance(node, ir.Append):
            numbers = [each for each in (node.start, node.count) if each is not None]
            return (
                node.target.base == "slot"
                and self._is_text_apart(node.source, slot, target)
                and all(self._is_free(each, target) for each in numbers)
            )
        return False

    def _is_text_apart(self, text: ir.Text, slot: ir.Place, target: ir.Place) -> bool:
        if not all(self._is_apart(each, slot, target) for each in text.body):
            return False
        if text.place is None:
            return True
        if text.place.base == "slot":
            return text.place.slot != slot.slot
        inside = all(is_inside(each, self.ranges) for each in text.place.steps)
        return inside and text.place.tag not in ("", target.tag)

    def _is_free(self, expr: ir.Expr, target: ir.Place) -> bool:
        """Tell whether a number neither comes from the target's text nor can fault."""
        if isinstance(expr, ir.Query):
            return expr.op == "length" and all(
                self._is_text_apart(each, _NOWHERE, target) for each in expr.strings
            )
        if isinstance(expr, ir.Op):
            return expr.op not in ("/", "MOD") and all(self._is_free(each, target) for each in expr.args)
        if isinstance(expr, ir.Convert):
            return self._is_free(expr.arg, target)
        if isinstance(expr, ir.Load):
            known = expr.place.base == "slot" or expr.place.tag not in ("", target.tag)
            return known and is_harmless(expr)
        return isinstance(expr, ir.Const)


_NOWHERE = ir.Place("slot", 0, slot=-1)


def _short(text: ir.Text) -> bytes | None:
    """Return the characters of a constant that is short and not wide."""
    if text.constant is None or text.wide:
        return None
    length = int.from_bytes(text.constant[:2], "little")
    return text.constant[STRING_HEADER : STRING_HEADER + length] if length <= SHORT else None


def _is_clear(node: ir.Stmt, slot: ir.Place) -> bool:
    return isinstance(node, ir.Clear) and node.target.base == "slot" and node.target.slot == slot.slot


def _takes_all(node: ir.Stmt, target: ir.Place) -> bool:
    """Tell whether a text begins with all of what its variable has."""
    if not isinstance(node, ir.Append) or node.start is not None or node.count is not None:
        return False
    place = node.source.place
    if place is None or node.source.body or node.wide != node.source.wide or place.steps or target.steps:
        return False
    return (place.base, place.slot, place.offset, place.tag) == (
        target.base,
        target.slot,
        target.offset,
        target.tag,
    )
