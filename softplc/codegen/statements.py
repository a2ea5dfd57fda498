"""Statements to LLVM text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softplc import ir
from softplc.codegen.asking import asked, entered
from softplc.codegen.ranges import key_of
from softplc.codegen.texts import Texts
from softplc.codegen.values import constant, value_type
from softplc.codegen.writer import ENTRY, Where
from softplc.codegen.writes import changes
from softplc.faults import Fault
from softplc.iectypes import BOOL, Elementary
from softplc.layout import FAULT_CODE, FAULT_FILE, FAULT_LINE, FAULT_UNIT, FAULT_UNSIGNED, LAPS, STOP
from softplc.lower.sites import TABLE

if TYPE_CHECKING:
    from softplc.codegen.emit import Emitter

MAX_SWITCH_RANGE = 64
AT_ONCE = 200_000  # operations between two looks at the watchdog: some 50 us


class Statements(Texts):
    """Writes the statements of one routine."""

    def __init__(self, emitter: Emitter, routine: ir.Routine) -> None:
        super().__init__(emitter, routine)
        self.calls: list[tuple[str, str]] = []
        self.rooms: list[str] = []  # of frames of copied routines
        self._frames: dict[str, int] = {}
        self.deciding: set[str] = set()  # pointers to what holds a block that decides, and is copied here
        self.loops: list[tuple[str, str]] = []  # labels to continue at and to leave to, innermost last

    def block_of(self, body: list[ir.Stmt]) -> None:
        """Write statements."""
        for statement in body:
            self.statement(statement)

    def finish(self) -> str:
        """Return the text of the whole routine."""
        self._return()
        head = self._head()
        tail: list[str] = []
        if self.faults:
            tail += [each.cold for each in self.faults if each.cold] + ["fault:"]
            noted = {
                FAULT_CODE: "code",
                FAULT_LINE: "line",
                FAULT_FILE: "file",
                FAULT_UNIT: "unit",
                FAULT_UNSIGNED: "unsigned",
            }
            for what in noted.values():
                values = ", ".join(f"[ {getattr(each, what)}, %{each.block} ]" for each in self.faults)
                tail.append(f"  %fault.{what} = phi i32 {values}")
            for offset, what in noted.items():
                tail.append(f"  %fault.at{offset} = getelementptr inbounds i8, ptr %img, i64 {offset}")
                tail.append(f"  store i32 %fault.{what}, ptr %fault.at{offset}, align 4")
            tail += [*self._stopped(), *self._left(), "  ret i32 %fault.code"]
        if self.calls:
            codes = ", ".join(f"[ {code}, %{block} ]" for block, code in self.calls)
            tail += ["unwind:", f"  %unwind.code = phi i32 {codes}", *self._left(), "  ret i32 %unwind.code"]
        return "\n".join((*head, *self.rooms, *self.head, *self.lines, *tail, "}"))

    def _head(self) -> list[str]:
        routine = self.routine
        if routine.exported:
            given = ", ptr %self, ptr %local, ptr %slot0" if routine.given else ""
            head = [f'define i32 @"{routine.name}"(ptr noundef align 64 %img{given}) nounwind {{', "entry:"]
        else:
            alias = "noalias " if routine.inline else ""
            copied = routine.inline or self.emitter.is_small(routine.name)
            inline = "" if copied and routine.frame < 0 else " noinline"
            head = [
                f'define internal i32 @"{routine.name}"(ptr noundef align 64 %img, ptr noundef {alias}%self)'
                f" nounwind{inline} {{",
                "entry:",
            ]
        head += self._frame(self.where, routine)
        if routine.local:
            head += self._filling("%local", routine.local)
        return [*head, *entered(routine, self.emitter.debug)]

    def _return(self) -> None:
        self.lines += self._left()
        self.do("ret i32 0")

    def _left(self) -> list[str]:
        """Return what gives the place of the innermost frame back."""
        return [] if self.routine.frame < 0 else ["  store ptr %frame.previous, ptr %frame.head, align 8"]

    def _stopped(self) -> list[str]:
        """Return what tells the debugger of a fault, while the frames are still there."""
        return asked("fault", self.emitter.debug, "-1") if self.emitter.debug >= 0 else []

    def _ask(self, site: int) -> None:
        """Ask the debugger whether to go on, if its table says so; its answer is a fault code, or 0."""
        if site < 0 or self.routine.frame < 0:
            return
        self.do(f"store i32 {site}, ptr %frame.site, align 4")
        place = self.add(f"getelementptr inbounds i8, ptr %img, i64 {self.emitter.debug + TABLE + site}")
        flag = self.add(f"load atomic i8, ptr {place} monotonic, align 1")
        wanted, ask, going = self.add(f"icmp ne i8 {flag}, 0"), self.label("ask"), self.label("ok")
        self.do(f"br i1 {wanted}, label %{ask}, label %{going}, !prof !0")
        self.start(ask)
        name = self.fresh()
        self.lines += asked(name[1:], self.emitter.debug, str(site))
        self.calls.append((self.block, f"{name}.answer"))
        self.branch(self.add(f"icmp ne i32 {name}.answer, 0"), "unwind", going)
        self.start(going)

    @staticmethod
    def _frame(where: Where, routine: ir.Routine) -> list[str]:
        """Return what makes room for stack slots and temporary variables."""
        slots = list(enumerate(routine.slots))[routine.given :]
        sizes = {f"{where.slot}{i}": size for i, size in slots}
        if routine.local:
            sizes[where.local] = len(routine.local)
        return [f"  {name} = alloca [{size} x i8], align 16" for name, size in sizes.items()]

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
        elif isinstance(node, ir.Lap):
            self._lap(node.number)
        elif isinstance(node, ir.Ask):
            self._ask(node.site)
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

    def _lap(self, number: int) -> None:
        """Call what the host has put where, if it has: (its own memory, number)."""
        laps = self.add(f"load i64, ptr {self.add(f'getelementptr inbounds i8, ptr %img, i64 {LAPS}')}")
        asked, done = self.label("asked"), self.label("ok")
        self.branch(self.add(f"icmp ne i64 {laps}, 0"), asked, done)
        self.start(asked)
        memory = self.add(f"inttoptr i64 {laps} to ptr")
        note = self.add(f"inttoptr i64 {self.add(f'load i64, ptr {memory}')} to ptr")
        self.do(f"call void {note}(ptr {memory}, i64 {number})")
        self.jump(done)
        self.start(done)

    def _check(self, type_: Elementary, value: str, limits: tuple[int, int] | None, line: int) -> None:
        if limits is None:
            return
        kind, sign = value_type(type_), "s" if type_.signed else "u"
        low = self.add(f"icmp {sign}lt {kind} {value}, {limits[0]}")
        high = self.add(f"icmp {sign}gt {kind} {value}, {limits[1]}")
        operands = value, *map(str, limits)
        outside = self.add(f"or i1 {low}, {high}")
        self.fault_if(outside, Fault.VALUE_OUT_OF_RANGE, line, *operands, type_=type_)

    def _call(self, node: ir.Call) -> None:
        routine = self.emitter.copied(node.routine)
        if routine is not None and not self.routine.exported:  # what LLVM copies itself it optimises twice
            self._copy(routine, node.instance)
            return
        instance = self.address(node.instance)
        self.emitter.called.append(node.routine)
        code = self.add(f'call i32 @"{node.routine}"(ptr %img, ptr {instance})')
        bad = self.add(f"icmp ne i32 {code}, 0")
        good = self.label("ok")
        self.calls.append((self.block, code))
        self.do(f"br i1 {bad}, label %unwind, label %{good}, !prof !0")
        self.start(good)

    def _copy(self, routine: ir.Routine, instance: ir.Place) -> None:
        """Write a routine where it is called. Its copies follow each other: they share one frame."""
        this = self.spot(instance)
        if any(isinstance(each, ir.If | ir.Switch | ir.Loop) for each in routine.body):
            self.deciding.add(this[0])
        if this[0] not in self.anchors:
            self.anchor(this[0])
        kept = (
            self.where,
            self.registers,
            self.ranges,
            self.renamed,
            self.capacities,
            self.known,
            self.loops,
        )
        number = self._frames.setdefault(routine.name, len(self._frames))
        where = Where(
            routine.file,
            self.emitter.units[routine.unit],
            this,
            f"%local{number}",
            f"%slot{number}.",
            self.label("done"),
        )
        if where.local not in self.anchors:
            self.rooms += self._frame(where, routine)
            self.anchors |= dict.fromkeys(
                (where.local, *(f"{where.slot}{i}" for i in range(len(routine.slots)))), ENTRY
            )
        self.where, self.registers, self.ranges = where, {}, {}
        self.renamed, self.capacities, self.known, self.loops = {}, {}, {}, []
        if routine.local:
            self.lines += self._filling(where.local, routine.local)
        self.block_of(routine.body)
        self.jump(where.end)
        self.start(where.end)
        self.where, self.registers, self.ranges, self.renamed, self.capacities, self.known, self.loops = kept

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
        self._ask(node.ask)
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
        outside = len(self.lines)
        self.lines.append("")
        self.branch(self._in_range(type_, first, last, step), body, end)
        before = self.block
        self.start(body)
        if kept:
            current = self.fresh()
            self.anchor(current)
            self.registers[key] = current
            self.register_types[current] = type_
            if isinstance(node.first, ir.Const) and isinstance(node.last, ir.Const):
                limits = sorted((int(node.first.value), int(node.last.value)))
                self.ranges[key] = (type_, (limits[0], limits[1]))
        self.loops.append((check, end))
        self.block_of(node.body)
        self.loops.pop()
        self.jump(check)
        self.start(check)
        self._ask(node.ask)
        following = self._step(type_, self.load(type_, node.place), step, end)
        if node.limits is not None:
            self._leave_outside(type_, following, node.limits, end)
        self.store(type_, node.place, following)
        if self.emitter.work.of_loop(node) > AT_ONCE:
            self._poll(node.line)
        if kept:
            del self.registers[key]
            self.ranges.pop(key, None)
            came = f"  {current} = phi {kind} [ {first}, %{before} ], [ {following}, %{self.block} ]"
            top = self.anchors[current]
            self.lines[top] = (
                "\n  ".join((came, *self._elements(node, current, before, outside))) + self.lines[top]
            )
        self.branch(self._in_range(type_, following, last, step), body, end)
        self.start(end)

    def _elements(self, node: ir.Count, current: str, before: str, outside: int) -> list[str]:
        """Return what a loop's body begins with: the addresses of elements by its control variable.

        That of a block that decides, and is copied here, moves on from round to round. The optimiser cannot
        see how far (`launder`, which is no instruction), or it would compute it from a counter again in each
        access, and that takes longer. It may see that of all else, of which it can do several at once.
        """
        came: list[str] = []
        computed: list[str] = []
        for key in [each for each in self.elements if each[0] == current]:
            _, base, low, stride = key
            name = self.elements.pop(key)
            if name in self.deciding and isinstance(node.step, int) and isinstance(node.first, ir.Const):
                begin = (int(node.first.value) - low) * stride
                self.put(outside, f"{name}.first = getelementptr i8, ptr {base}, i64 {begin}")
                self.do(f"{name}.moved = getelementptr i8, ptr {name}, i64 {node.step * stride}")
                self.do(f"{name}.next = call ptr @llvm.launder.invariant.group.p0(ptr {name}.moved)")
                came.append(f"{name} = phi ptr [ {name}.first, %{before} ], [ {name}.next, %{self.block} ]")
                continue
            kind = value_type(node.type)
            widen = f"{'sext' if node.type.signed else 'zext'} {kind} {current} to i64"
            computed += (
                f"{name}.wide = {widen if node.type.bits < 64 else f'add i64 {current}, 0'}",
                f"{name}.at = sub i64 {name}.wide, {low}",
                f"{name}.scaled = mul nuw nsw i64 {name}.at, {stride}",
                f"{name} = getelementptr inbounds i8, ptr {base}, i64 {name}.scaled",
            )
        return came + computed

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
        if node.kind == "return" and self.where.end:
            self.jump(self.where.end)
        elif node.kind == "return":
            self._return()
        else:
            again, leave = self.loops[-1]
            self.jump(again if node.kind == "continue" else leave)
        self.start(self.label("dead"))
