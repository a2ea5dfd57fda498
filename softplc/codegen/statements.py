"""Statements to LLVM text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softplc import ir
from softplc.codegen.ranges import key_of
from softplc.codegen.texts import Texts
from softplc.codegen.values import constant, value_type
from softplc.codegen.writes import changes
from softplc.faults import Fault
from softplc.iectypes import BOOL, Elementary
from softplc.layout import FAULT_CODE, FAULT_FILE, FAULT_LINE, STOP

if TYPE_CHECKING:
    from softplc.codegen.emit import Emitter

MAX_SWITCH_RANGE = 64


class Statements(Texts):
    """Writes the statements of one routine."""

    def __init__(self, emitter: Emitter, routine: ir.Routine) -> None:
        super().__init__(emitter, routine)
        self.calls: list[tuple[str, str]] = []
        self.loops: list[tuple[str, str]] = []  # labels to continue at and to leave to, innermost last

    def block_of(self, body: list[ir.Stmt]) -> None:
        """Write statements."""
        for statement in body:
            self.statement(statement)

    def finish(self) -> str:
        """Return the text of the whole routine."""
        routine = self.routine
        self.do("ret i32 0")
        head = self._head()
        tail: list[str] = []
        if self._faults:
            code = ", ".join(f"[ {code}, %{block} ]" for block, code, _ in self._faults)
            line = ", ".join(f"[ {line}, %{block} ]" for block, _, line in self._faults)
            tail += ["fault:", f"  %fault.code = phi i32 {code}", f"  %fault.line = phi i32 {line}"]
            for offset, value in (
                (FAULT_CODE, "%fault.code"),
                (FAULT_LINE, "%fault.line"),
                (FAULT_FILE, str(routine.file)),
            ):
                tail.append(f"  %fault.at{offset} = getelementptr inbounds i8, ptr %img, i64 {offset}")
                tail.append(f"  store i32 {value}, ptr %fault.at{offset}, align 4")
            tail.append("  ret i32 %fault.code")
        if self.calls:
            codes = ", ".join(f"[ {code}, %{block} ]" for block, code in self.calls)
            tail += ["unwind:", f"  %unwind.code = phi i32 {codes}", "  ret i32 %unwind.code"]
        return "\n".join((*head, *self.lines, *tail, "}"))

    def _head(self) -> list[str]:
        routine = self.routine
        if routine.exported:
            head = [f'define i32 @"{routine.name}"(ptr noundef align 64 %img) nounwind {{', "entry:"]
        else:
            alias = "noalias " if routine.inline else ""
            inline = "" if routine.inline or routine.name in self.emitter.copied else " noinline"
            head = [
                f'define internal i32 @"{routine.name}"(ptr noundef align 64 %img, ptr noundef {alias}%self)'
                f" nounwind{inline} {{",
                "entry:",
            ]
        head += [f"  %slot{i} = alloca [{size} x i8], align 16" for i, size in enumerate(routine.slots)]
        if routine.local:
            size = len(routine.local)
            head.append(f"  %local = alloca [{size} x i8], align 16")
            head += self._filling("%local", routine.local)
        return head

    def _filling(self, address: str, data: bytes) -> list[str]:
        if not any(data):
            return [f"  call void @llvm.memset.p0.i64(ptr {address}, i8 0, i64 {len(data)}, i1 false)"]
        name = self.emitter.data(data)
        return [f"  call void @llvm.memcpy.p0.p0.i64(ptr {address}, ptr {name}, i64 {len(data)}, i1 false)"]

    def statement(self, node: ir.Stmt) -> None:
        if isinstance(node, ir.Store):
            value = self.value(node.value)
            self._check(node.type, value, node.limits, node.line)
            self.store(node.type, node.place, value)
        elif isinstance(node, ir.Call):
            self._call(node)
        elif isinstance(node, ir.If):
            self._if(node)
        elif isinstance(node, ir.Switch):
            self._switch(node)
        elif isinstance(node, ir.Loop):
            self._loop(node)
        elif isinstance(node, ir.Count):
            self._for(node)
        elif isinstance(node, ir.Jump):
            self._jump(node)
        elif isinstance(node, ir.Copy):
            source, target = self.address(node.source), self.address(node.target)
            self.do(
                f"call void @llvm.memmove.p0.p0.i64(ptr {target}, ptr {source}, i64 {node.size}, i1 false)"
            )
        elif isinstance(node, ir.Fill):
            self.lines += self._filling(self.address(node.target), node.data)
        elif isinstance(node, ir.StorePointer):
            target = self.address(node.target)
            self.do(f"store ptr {target}, ptr {self.address(node.place)}, align 1")
        else:
            self.string(node)

    def _check(self, type_: Elementary, value: str, limits: tuple[int, int] | None, line: int) -> None:
        if limits is None:
            return
        kind, sign = value_type(type_), "s" if type_.signed else "u"
        low = self.add(f"icmp {sign}lt {kind} {value}, {limits[0]}")
        high = self.add(f"icmp {sign}gt {kind} {value}, {limits[1]}")
        self.fault_if(self.add(f"or i1 {low}, {high}"), Fault.VALUE_OUT_OF_RANGE, line)

    def _call(self, node: ir.Call) -> None:
        instance = self.address(node.instance)
        self.emitter.called[node.routine] += 1
        code = self.add(f'call i32 @"{node.routine}"(ptr %img, ptr {instance})')
        bad = self.add(f"icmp ne i32 {code}, 0")
        good = self.label("ok")
        self.calls.append((self.block, code))
        self.do(f"br i1 {bad}, label %unwind, label %{good}, !prof !0")
        self.start(good)

    def _if(self, node: ir.If) -> None:
        then, end = self.label("then"), self.label("end")
        otherwise = self.label("else") if node.otherwise else end
        self.branch(self.value(node.condition), then, otherwise)
        self.start(then)
        self.block_of(node.then)
        self.jump(end)
        if node.otherwise:
            self.start(otherwise)
            self.block_of(node.otherwise)
            self.jump(end)
        self.start(end)

    def _switch(self, node: ir.Switch) -> None:
        """Small ranges become a switch, large ones comparisons before it."""
        type_ = node.selector.type
        kind, sign = value_type(type_), "s" if type_.signed else "u"
        selector = self.value(node.selector)
        end, otherwise = self.label("end"), self.label("else")
        labels = [self.label("case") for _ in node.branches]
        taken: set[int] = set()
        cases: list[str] = []
        for (ranges, _), label in zip(node.branches, labels, strict=True):
            for low, high in ranges:
                if high - low >= MAX_SWITCH_RANGE:
                    above = self.add(f"icmp {sign}ge {kind} {selector}, {low}")
                    below = self.add(f"icmp {sign}le {kind} {selector}, {high}")
                    following = self.label("next")
                    self.branch(self.add(f"and i1 {above}, {below}"), label, following)
                    self.start(following)
                    continue
                for number in range(low, high + 1):
                    if number not in taken:
                        taken.add(number)
                        shown = constant(BOOL, number) if type_ is BOOL else str(number)
                        cases.append(f"{kind} {shown}, label %{label}")
        self.do(f"switch {kind} {selector}, label %{otherwise} [ {' '.join(cases)} ]")
        for (_, body), label in zip(node.branches, labels, strict=True):
            self.start(label)
            self.block_of(body)
            self.jump(end)
        self.start(otherwise)
        self.block_of(node.otherwise)
        self.jump(end)
        self.start(end)

    def _poll(self, line: int) -> None:
        """Ask at the back edge of a loop whether the watchdog wants it to stop."""
        if not self.emitter.checks:
            return
        place = self.add(f"getelementptr inbounds i8, ptr %img, i64 {STOP}")
        tag = self.emitter.tag("stop")
        flag = self.add(f"load atomic i32, ptr {place} monotonic, align 4{tag}")
        self.fault_if(self.add(f"icmp ne i32 {flag}, 0"), Fault.WATCHDOG, line)

    def _loop(self, node: ir.Loop) -> None:
        head, body, check, end = (self.label(each) for each in ("head", "body", "check", "end"))
        self.jump(body if node.until else head)
        if not node.until:
            self.start(head)
            self.branch(self.value(node.condition), body, end)
        self.start(body)
        self.loops.append((check, end))
        self.block_of(node.body)
        self.loops.pop()
        self.jump(check)
        self.start(check)
        self._poll(node.line)
        if node.until:
            self.branch(self.value(node.condition), end, body)
        else:
            self.jump(head)
        self.start(end)

    def _for(self, node: ir.Count) -> None:
        type_ = node.type
        kind = value_type(type_)
        first = self.value(node.first)
        last = self.value(node.last)
        step = node.step if isinstance(node.step, int) else self.value(node.step)
        self._check(type_, first, node.limits, node.line)
        self.store(type_, node.place, first)
        key = key_of(node.place)
        kept = node.private and not changes(node.body, node.place, type_.size)
        body, check, end = (self.label(each) for each in ("body", "check", "end"))
        self.branch(self._in_range(type_, first, last, step), body, end)
        before = self.block
        self.start(body)
        if kept:
            current = self.fresh()
            phi = len(self.lines)
            self.lines.append("")  # what the address of an element needs comes here
            self.registers[key] = current
            self.register_types[current] = type_
            self.tops[current] = phi
            if isinstance(node.first, ir.Const) and isinstance(node.last, ir.Const):
                limits = sorted((int(node.first.value), int(node.last.value)))
                self.ranges[key] = (type_, (limits[0], limits[1]))
        self.loops.append((check, end))
        self.block_of(node.body)
        self.loops.pop()
        self.jump(check)
        self.start(check)
        following = self._step(type_, self.load(type_, node.place), step, end)
        if node.limits is not None:
            self._leave_outside(type_, following, node.limits, end)
        self.store(type_, node.place, following)
        self._poll(node.line)
        if kept:
            del self.registers[key]
            self.ranges.pop(key, None)
            came = f"  {current} = phi {kind} [ {first}, %{before} ], [ {following}, %{self.block} ]"
            self.lines[phi] = came + self.lines[phi]
        self.branch(self._in_range(type_, following, last, step), body, end)
        self.start(end)

    def _step(self, type_: Elementary, current: str, step: int | str, end: str) -> str:
        """Return the next value of a control variable; leave the loop where the type ends."""
        kind = value_type(type_)
        down = isinstance(step, int) and step < 0 and not type_.signed
        amount = -step if down and isinstance(step, int) else step
        name = f"{'s' if type_.signed else 'u'}{'sub' if down else 'add'}"
        pair = self.add(
            f"call {{ {kind}, i1 }} @llvm.{name}.with.overflow.{kind}({kind} {current}, {kind} {amount})"
        )
        following = self.add(f"extractvalue {{ {kind}, i1 }} {pair}, 0")
        wrapped = self.add(f"extractvalue {{ {kind}, i1 }} {pair}, 1")
        store = self.label("store")
        self.do(f"br i1 {wrapped}, label %{end}, label %{store}, !prof !0")
        self.start(store)
        return following

    def _leave_outside(self, type_: Elementary, value: str, limits: tuple[int, int], end: str) -> None:
        """A control variable of a subrange stays at its limit, as one of a whole type does."""
        kind, sign = value_type(type_), "s" if type_.signed else "u"
        low = self.add(f"icmp {sign}lt {kind} {value}, {limits[0]}")
        high = self.add(f"icmp {sign}gt {kind} {value}, {limits[1]}")
        inside = self.label("inside")
        self.branch(self.add(f"or i1 {low}, {high}"), end, inside)
        self.start(inside)

    def _in_range(self, type_: Elementary, current: str, last: str, step: int | str) -> str:
        kind, sign = value_type(type_), "s" if type_.signed else "u"
        if isinstance(step, int):
            return self.add(f"icmp {sign}{'le' if step > 0 else 'ge'} {kind} {current}, {last}")
        up = self.add(f"icmp {sign}le {kind} {current}, {last}")
        if not type_.signed:
            return up
        down = self.add(f"icmp sge {kind} {current}, {last}")
        negative = self.add(f"icmp slt {kind} {step}, 0")
        return self.add(f"select i1 {negative}, i1 {down}, i1 {up}")

    def _jump(self, node: ir.Jump) -> None:
        if node.kind == "return":
            self.do("ret i32 0")
        else:
            again, leave = self.loops[-1]
            self.jump(again if node.kind == "continue" else leave)
        self.start(self.label("dead"))
