"""Calls to IR: frames, arguments, results; functions and function blocks alike."""

from __future__ import annotations

from dataclasses import replace

from softplc import ir
from softplc.bind.calls import Binding
from softplc.bind.references import object_of, size_of
from softplc.iectypes import (
    ADDRESS,
    BOOL,
    LINT,
    Array,
    BlockType,
    Elementary,
    Enum,
    Interface,
    OpenArray,
    Pointer,
    Reference,
    String,
    Struct,
    Subrange,
    Type,
)
from softplc.layout import POINTER_SIZE, scalar_of
from softplc.library.functions import SWAPS
from softplc.lower.context import Dispatch, LoweringError, got, machine, member_tag
from softplc.lower.conversions import convert
from softplc.lower.standard import Standard
from softplc.symbols import Instance, Pou, Variable
from softplc.syntax import BitAccess, Call, Deref, Expr, Index, Member, Name


class Calls(Standard):
    """Lowers calls of user and library POUs."""

    def call_value(self, node: Call) -> ir.Expr:
        """Lower a call that yields a scalar."""
        binding = node.binding
        if binding is None:
            raise LoweringError("call without binding")
        if binding.guarded and not binding.declared:
            type_ = machine(node.type)
            result = self.slot(type_.size)
            body: list[ir.Stmt] = [ir.Store(result, ir.Const(type_, 0), type_)]
            body += self.enabled(binding, [ir.Store(result, self._yielded(node, binding), type_)])
            return ir.After(type_, body, ir.Load(type_, result))
        return self._yielded(node, binding)

    def _yielded(self, node: Call, binding: Binding) -> ir.Expr:
        if node.rewritten is not None:
            return self.expr(node.rewritten)
        if binding.measured is not None:
            return ir.Const(machine(node.type), size_of(binding.measured))
        if binding.referred is not None and isinstance(node.type, Pointer):
            return self._pointer_to(binding.referred)
        if binding.referred is not None:
            first = self.find_way(binding.referred)
            place = self.place(binding.referred)
            if place is None:
                raise LoweringError("REF of no place")
            return ir.After(LINT, first, ir.AddressOf(LINT, place)) if first else ir.AddressOf(LINT, place)
        if binding.bound is not None:
            array, dimension, side = binding.bound
            return convert(self.bounds(array, dimension)[side], machine(node.type))
        if binding.pou is not None:
            body, place = self.function_call(binding)
            type_ = machine(binding.pou.result.type if binding.pou.result else None)
            return ir.After(type_, body, ir.Load(type_, place))
        return self.standard_value(node, binding)

    def _pointer_to(self, node: Expr) -> ir.Expr:
        whole = object_of(node)
        first = self.find_way(node)
        place, there = self.place(node), self.place(whole)
        if place is None or there is None or whole.type is None:
            raise LoweringError("ADR of no place")
        size, line = whole.type.size, self.line(node.at)
        pointer = ir.PointerTo(ADDRESS, place, there, size, self.layout.size, line)
        return ir.After(ADDRESS, first, pointer) if first else pointer

    def effects(self, node: Call, binding: Binding) -> list[ir.Stmt]:
        """Lower the call of a standard function that stands as a statement: only its ENO is seen."""
        if node.type is None or binding.enable_out is None:
            return []
        return self.enabled(binding, [])

    def function_call(self, binding: Binding) -> tuple[list[ir.Stmt], ir.Place]:
        """Return the statements of a function call, and the place of its result."""
        pou = binding.pou
        if pou is None:
            raise LoweringError("call of nothing")
        frame = self.slot(pou.frame_size)
        body: list[ir.Stmt] = [ir.Fill(frame, self.sizes.frame(pou, self.resource))]
        if pou.kind == "METHOD":
            if binding.instance is not None:
                body += self.find_way(binding.instance)
            body.append(ir.StorePointer(frame, self.instance_of(binding)))
        own = self._own_enable_out(pou, frame)
        body += self.enabled(binding, self._invoke(binding, pou, frame), own)
        return body, frame.at(pou.result.offset if pou.result else 0)

    def block_call(self, node: Call) -> list[ir.Stmt]:
        """Lower the call of a function block instance."""
        binding = node.binding
        if binding is not None and binding.pou is not None and binding.pou.kind == "PROGRAM":
            return self.enabled(binding, self._program_call(binding, binding.pou))
        first = self.find_way(node.callee)
        place = self.place(node.callee)
        if binding is None or binding.pou is None or place is None:
            raise LoweringError("block call without instance")
        own = self._own_enable_out(binding.pou, place)
        invoked = self._invoke(binding, binding.pou, place, self._runs(node.callee))
        return [*first, *self.enabled(binding, invoked, own)]

    def action_call(self, node: Call) -> list[ir.Stmt]:
        """Lower the call of an action: it runs on its block, and takes what the block takes."""
        binding = node.binding
        if binding is None or binding.pou is None:
            raise LoweringError("action call without action")
        first = self.find_way(node.callee)
        return [*first, *self.enabled(binding, self._invoke(binding, binding.pou, self.instance_of(binding)))]

    def _program_call(self, binding: Binding, pou: Pou) -> list[ir.Stmt]:
        """Lower the call of a program by its name: what it takes is copied there, also for VAR_IN_OUT."""
        instance = self.instance_of_program(pou)
        self.calls.add(pou)
        body, after = self.located(instance, None)
        for parameter, value in binding.inputs:
            body += self.assign(self.variable(parameter), parameter.type, value)
        body.append(ir.Call(self.symbol(program_name(instance), pou), ir.Place("image", 0)))
        body += after
        for parameter, target in binding.inputs:
            if parameter.section == "VAR_IN_OUT":
                body += self.output(parameter, target, False, self.variable(parameter))
        for parameter, target, negated in binding.outputs:
            body += self.output(parameter, target, negated, self.variable(parameter))
        return body

    def located(self, instance: Instance, block: Variable | None) -> tuple[list[ir.Stmt], list[ir.Stmt]]:
        """Return what copies the inputs and outputs that VAR_CONFIG gives to variables inside of blocks."""
        before: list[ir.Stmt] = []
        after: list[ir.Stmt] = []
        for setting in instance.copied(block):
            type_ = setting.path.type
            outside, bit = self.layout.direct(setting.address, type_)
            image = ir.Place("image", outside, bit=bit)
            at, own_bit = self.layout.of_path(setting.path, instance)
            own = ir.Place("image", at, bit=own_bit)
            region = setting.address[1].upper()
            if region != "Q":
                before.append(self._copied(own, image, type_))
            if region != "I":
                after.append(self._copied(image, own, type_))
        return before, after

    @staticmethod
    def _copied(target: ir.Place, source: ir.Place, type_: Type) -> ir.Stmt:
        scalar = scalar_of(type_)
        if scalar is None:
            return ir.Copy(target, source, type_.size)
        return ir.Store(target, ir.Load(scalar, source), scalar)

    def _runs(self, callee: Expr) -> bool:
        """Tell whether a call runs the block: one that has a task of its own only takes its inputs."""
        alone = self.instance.blocks if self.instance is not None else ()
        return not (isinstance(callee, Name) and callee.ref in alone)

    @staticmethod
    def _own_enable_out(pou: Pou, frame: ir.Place) -> ir.Place | None:
        """Return where a unit keeps the ENO that its body sets, if it does."""
        variable = pou.variables.get("eno")
        return frame.at(variable.offset) if variable is not None and variable.section == "ENO" else None

    def enabled(self, binding: Binding, body: list[ir.Stmt], own: ir.Place | None = None) -> list[ir.Stmt]:
        """Put the call under its EN, and set its ENO: that of its own where the body sets one."""
        if not binding.guarded:
            return body
        enable = self.expr(binding.enable, BOOL) if binding.enable else ir.Const(BOOL, True)
        flag = self.slot(1)
        result: list[ir.Stmt] = [ir.Store(flag, enable, BOOL)]
        if own is not None:
            body = [*body, ir.Store(flag, ir.Load(BOOL, own), BOOL)]
        result.append(ir.If(ir.Load(BOOL, flag), body, []))
        if binding.enable_out is not None:
            target = self.place(binding.enable_out)
            if target is not None:
                result.append(ir.Store(target, ir.Load(BOOL, flag), BOOL))
        return result

    def _invoke(self, binding: Binding, pou: Pou, frame: ir.Place, runs: bool = True) -> list[ir.Stmt]:
        before: list[ir.Stmt] = []
        after: list[ir.Stmt] = []
        for parameter, argument in binding.inputs:
            if parameter.by_reference:
                self._in_out(parameter, argument, frame, before, after)
            else:
                given = self.assign(_parameter(frame, parameter), parameter.type, argument)
                before += map(_decided, given) if pou.kind == "FUNCTION_BLOCK" else given
        routine = self.routine(binding, pou)
        own = self._own_enable_out(pou, frame)
        if own is not None:
            before.append(ir.Store(own, ir.Const(BOOL, True), BOOL))
        body = [*before, *([ir.Call(routine, frame)] if runs else ()), *after]
        for parameter, argument, negated in binding.outputs:
            body += self.output(parameter, argument, negated, _parameter(frame, parameter))
        return body

    def instance_of(self, binding: Binding) -> ir.Place:
        node = binding.instance
        if node is None:
            return self.this()
        if isinstance(node.type, BlockType) and node.type.pou.kind == "PROGRAM":
            return ir.Place("image", 0)
        place = self.place(node)
        if place is None:
            raise LoweringError("method of nothing")
        if isinstance(node.type, Interface):
            return ir.Place("ref", 0, pointer=place, line=self.line(node.at))
        return place

    def routine(self, binding: Binding, pou: Pou) -> str:
        """Return what to call: the routine itself, or one that chooses by the class of the instance."""
        if is_part(pou):
            self.calls.add(pou)
            return self.symbol(part_name(self.instance_of_program(owner_of(pou)), pou), pou)
        if pou.kind == "METHOD" and not binding.direct and binding.through is not None:
            reached = binding.through.implementations(pou.decl.name)
            if len(reached) > 1 or binding.through.kind == "INTERFACE":
                name = f"dispatch.{binding.through.name}.{pou.decl.name}".casefold()
                varying = next((each for each in reached if each in self.project.varying), pou)
                name = self.symbol(name, varying)
                routines = {self.symbol(routine_name(each), each): reached[each] for each in reached}
                self.dispatches[name] = Dispatch(name, routines)
                self.calls.update(reached)
                return name
            pou = next(iter(reached), pou)
        while pou.kind == "FUNCTION_BLOCK" and not pou.decl.body and pou.base is not None:
            pou = pou.base  # a block without body has that of its base
        self.calls.add(pou)
        return self.symbol(routine_name(pou), pou)

    def _in_out(
        self,
        parameter: Variable,
        argument: Expr,
        frame: ir.Place,
        before: list[ir.Stmt],
        after: list[ir.Stmt],
    ) -> None:
        target: ir.Place | None
        if parameter.lent and isinstance(parameter.type, Elementary | Enum | Subrange | String):
            first, target = self._to_read(argument, parameter.type)
            before += first
        elif parameter.section == "VAR_IN_OUT" and not parameter.lent:
            before += self.find_way(argument)
            target = self.place(argument)
        else:  # an ARRAY[*] that is only read: also what a function yields
            first, target = self.aggregate(argument)
            before += first
        if target is None:
            raise LoweringError("VAR_IN_OUT without variable")
        here = frame.at(parameter.offset)
        if isinstance(argument.type, OpenArray):
            before.append(ir.Copy(here, self.descriptor(argument), argument.type.size))
            return
        if isinstance(parameter.type, OpenArray) and isinstance(argument.type, Array):
            for number, limits in enumerate(argument.type.ranges):
                for side, limit in enumerate(limits):
                    at = here.at(POINTER_SIZE + 16 * number + 8 * side)
                    before.append(ir.Store(at, ir.Const(LINT, limit), LINT))
        if target.bit >= 0:  # a packed bit has no address: copy in and out
            copy = self.slot(1)
            before.append(ir.Store(copy, ir.Load(BOOL, target), BOOL))
            after.append(ir.Store(target, ir.Load(BOOL, copy), BOOL))
            target = copy
        before.append(ir.StorePointer(frame.at(parameter.offset), target))

    def _to_read(self, argument: Expr, type_: Type) -> tuple[list[ir.Stmt], ir.Place]:
        """Return where a value lies that is only read: where the variable is, or a copy of what is none."""
        first = self.find_way(argument) if argument.value is None else []
        place = self.place(argument) if argument.value is None else None
        if place is not None:
            return first, place
        if isinstance(type_, String) and isinstance(argument.type, String):
            type_ = argument.type
        copy = self.slot(type_.size)
        empty: list[ir.Stmt] = [ir.Clear(copy, type_.capacity)] if isinstance(type_, String) else []
        return [*empty, *self.assign(copy, type_, argument)], copy

    def output(self, parameter: Variable, argument: Expr, negated: bool, source: ir.Place) -> list[ir.Stmt]:
        """Copy an output to its target."""
        first = self.find_way(argument)
        target = self.place(argument)
        if target is None or parameter.type is None or argument.type is None:
            raise LoweringError("output without target")
        if isinstance(parameter.type, String):
            return [*first, ir.SetText(target, ir.Text(source, wide=parameter.type.wide))]
        if isinstance(parameter.type, Array | Struct):
            return [*first, ir.Copy(target, source, parameter.type.size)]
        value: ir.Expr = ir.Load(machine(parameter.type), source)
        if negated:
            value = ir.Op(value.type, "NOT", (value,))
        type_ = machine(argument.type)
        limits = limits_of(argument.type)
        return [*first, ir.Store(target, convert(value, type_), type_, limits, self.line(argument.at))]

    def assign(self, target: ir.Place, type_: Type | None, value: Expr) -> list[ir.Stmt]:
        """Lower an assignment of any type."""
        if type_ is None:
            raise LoweringError("assignment to nothing")
        if isinstance(type_, String):
            known = type_.capacity if target.base in ("image", "self", "local", "slot") else -1
            splice = self.splice(target, known, value)
            if splice is not None:
                return [splice]
            return [ir.SetText(target, self.text(value), known)]
        if isinstance(type_, Array | Struct):
            body, source = self.aggregate(value)
            return [*body, ir.Copy(target, source, type_.size)]
        limits = None if value.value is not None else limits_of(type_)
        return [ir.Store(target, self.expr(value, type_), machine(type_), limits, self.line(value.at))]

    def aggregate(self, node: Expr) -> tuple[list[ir.Stmt], ir.Place]:
        """Return where an array or structure lies, after what must run first."""
        node = got(node)
        if isinstance(node, Call) and node.binding is not None and not node.followed:
            if node.binding.pou is not None:
                return self.function_call(node.binding)
            if node.binding.values:
                return self._moved(node, node.binding)
        first = self.find_way(node)
        place = self.place(node)
        if place is None:
            raise LoweringError("aggregate without place")
        return first, place

    def find_way(self, node: Expr) -> list[ir.Stmt]:
        """Run the call that yields the way to an object, and note where that lies."""
        node = got(node)
        while isinstance(node, Member | Index | BitAccess | Deref):
            node = got(node.base)
        if not isinstance(node, Call) or node.binding is None:
            return []
        if not node.followed and not isinstance(node.type, Reference | Interface):
            return []
        if node.binding.pou is not None:
            first, place = self.function_call(node.binding)
        else:
            place = self.slot(POINTER_SIZE)
            first = [ir.Store(place, self.call_value(node), LINT)]
        if node.followed:
            place = ir.Place("ref", 0, pointer=place, line=self.line(node.at))
        self.yielded[id(node)] = place
        return first

    def _moved(self, node: Call, binding: Binding) -> tuple[list[ir.Stmt], ir.Place]:
        """Lower MOVE, SEL and MUX of arrays and structures."""
        if node.type is None or binding.function is None:
            raise LoweringError("MOVE of nothing")
        name, values = binding.function.name, binding.values
        result = self.slot(node.type.size)
        choices = [self.aggregate(each) for each in (values[1:] if name in ("SEL", "MUX") else values)]
        body = [stmt for before, _ in choices for stmt in before]
        copies: list[ir.Stmt] = [ir.Copy(result, source, node.type.size) for _, source in choices]
        if name == "SEL":
            body.append(ir.If(self.expr(values[0], BOOL), [copies[1]], [copies[0]]))
        elif name == "MUX":
            branches = [([(k, k)], [copy]) for k, copy in enumerate(copies)]
            body.append(ir.Switch(self.selected(values[0], len(copies)), branches, []))
        else:
            body += copies
        if name in SWAPS:
            body += self._swapped(result, node.type)
        return [ir.Fill(result, self.sizes.initial(node.type)), *self.enabled(binding, body)], result

    def _swapped(self, place: ir.Place, type_: Type) -> list[ir.Stmt]:
        """Turn round the bytes of every value in an array or structure."""
        if isinstance(type_, Array):
            counter = self.slot(8)
            step = ir.Step(ir.Load(LINT, counter), 0, type_.count, type_.stride, 0)
            body = self._swapped(place.at(0, step), type_.element)
            last = ir.Const(LINT, type_.count - 1)
            return [ir.Count(counter, LINT, ir.Const(LINT, 0), last, 1, body, 0)] if body else []
        if isinstance(type_, Struct):
            members = [each for each in type_.fields.values() if each.bit < 0]
            return [stmt for each in members for stmt in self._swapped(place.at(each.offset), each.type)]
        scalar = machine(type_)
        if scalar.size == 1:
            return []
        return [ir.Store(place, ir.Op(scalar, "SWAP", (ir.Load(scalar, place),)), scalar)]


def _parameter(frame: ir.Place, parameter: Variable) -> ir.Place:
    """Return where a call puts an argument, with the tag that the unit itself knows it by."""
    known = frame.tag or frame.base == "slot"
    return replace(frame.at(parameter.offset), tag=member_tag(parameter) if known else "")


def _decided(statement: ir.Stmt) -> ir.Stmt:
    """Let AND and OR decide by branches which constant a block's input is.

    Most blocks branch by it at once: the optimiser then joins the two, and needs no value for it. Where one
    does not, it makes one value again.
    """
    if not isinstance(statement, ir.Store) or not isinstance(statement.value, ir.Lazy):
        return statement
    true, false = (ir.Store(statement.place, ir.Const(BOOL, value), BOOL) for value in (True, False))
    return ir.If(statement.value, [true], [false])


def owner_of(pou: Pou) -> Pou:
    """Return the program that an action or method is a part of; of others, the unit itself."""
    return pou.owner if pou.owner is not None and pou.owner.kind == "PROGRAM" else pou


def is_part(pou: Pou) -> bool:
    """Tell whether it is an action or method of a program."""
    return owner_of(pou) is not pou


def part_name(instance: Instance, part: Pou) -> str:
    """Return the routine of an action or method of a program, which each instance has of its own."""
    return f"instance.{instance.name}.{part.decl.name}".casefold()


def program_name(instance: Instance) -> str:
    """Return the routine of a program instance."""
    return f"instance.{instance.name}".casefold()


def routine_name(pou: Pou) -> str:
    return f"{pou.kind.lower()}.{pou.name.casefold()}"


def limits_of(type_: Type | None) -> tuple[int, int] | None:
    """Return what to check at assignment: the limits of a subrange."""
    return (type_.low, type_.high) if isinstance(type_, Subrange) else None
