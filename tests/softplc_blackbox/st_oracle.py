"""The oracle: walks the tree of a program by the rules of IEC 61131-3 and the choices in softplc's README."""

from __future__ import annotations

import contextlib

import numpy as np
from st_tree import (
    BITS,
    DAY_NS,
    MOMENTS,
    REALS,
    SIGNED,
    WHOLE,
    Array,
    Assign,
    Binary,
    BlockCall,
    Call,
    Case,
    Code,
    Deref,
    Enum,
    For,
    If,
    Index,
    Lit,
    Member,
    MethodCall,
    Ref,
    RefOf,
    String,
    Struct,
    Sub,
    SuperCall,
    Unary,
    UserCall,
    Var,
    While,
    Word,
)

FLOATS = {"REAL": np.float32, "LREAL": np.float64}
MAX_STRING = 32_767


class FaultError(Exception):
    """A task stops; `line` is added by the statement."""

    line = None


class LeaveError(Exception):
    pass


class NextError(Exception):
    pass


class ReturnError(Exception):
    pass


class Place:
    """Where a value is: a container and its key."""

    def __init__(self, container, key):
        self.container, self.key = container, key

    def get(self):
        return self.container[self.key]

    def set(self, value):
        put(self.container, self.key, value)


class Reference:
    """What a reference variable holds."""

    def __init__(self, place):
        self.place = place


def put(container, key, value):
    """Change a value where it is, so that references to parts of it stay."""
    if isinstance(value, list):
        for position, each in enumerate(value):
            put(container[key], position, each)
    elif isinstance(value, dict):
        for name, each in value.items():
            put(container[key], name, each)
    else:
        container[key] = value


def wrap(value, type_):
    width = {**WHOLE, **BITS}[type_]
    value &= (1 << width) - 1
    return value - (1 << width) if type_ in SIGNED and value >> (width - 1) else value


def limits(type_):
    width = {**WHOLE, **BITS}[type_]
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if type_ in SIGNED else (0, (1 << width) - 1)


def default(type_):
    match type_:
        case Array():
            return [default(type_.element) for _ in range(type_.low, type_.high + 1)]
        case Struct():
            return {name: default(each) for name, each in type_.members}
        case String():
            return ""
        case "BOOL":
            return False
        case Sub():
            return type_.low
        case Ref():
            return None
    return FLOATS[type_](0) if type_ in FLOATS else 0


def held(value, type_):
    """Return a value as a variable of that type holds it: a copy, widened, cut."""
    match type_:
        case Array():
            return [held(each, type_.element) for each in value]
        case Struct():
            return {name: held(value[name], each) for name, each in type_.members}
        case String():
            return value[: type_.capacity]
        case "BOOL":
            return bool(value)
        case Sub():
            if not type_.low <= value <= type_.high:
                raise FaultError("subrange")
            return int(value)
        case Enum():
            return int(value)
        case Ref():
            return value
    if type_ in FLOATS:
        return FLOATS[type_](value)
    return int(value)


def quotient(a, b):
    if b == 0:
        raise FaultError("division")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def remainder(a, b):
    return 0 if b == 0 else a - b * (abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))


def converted(value, source, target):
    """Return what `source_TO_target` gives."""
    if target == "BOOL":
        return bool(value != 0)
    if target in FLOATS:
        return FLOATS[target](value)
    if target == "TIME":
        return wrap(int(value) * 1_000_000, "LINT")
    if source == "TIME":
        return wrap(quotient(value, 1_000_000), target)
    if source in FLOATS:
        low, high = limits(target)
        if np.isnan(value):
            return 0
        return (
            int(min(max(np.rint(np.float64(value)), low), high))
            if abs(value) < 2.0**62
            else (high if value > 0 else low)
        )
    return wrap(int(value), target)


class Oracle:
    """One program with its variables; `scan` runs it once."""

    def __init__(self, program):
        self.program = program
        self.functions = {each.name: each for each in program.functions}
        self.globals = {each.name: self.initial(each) for each in program.global_variables}
        self.main = {each.name: self.initial(each) for each in program.variables}

    def initial(self, variable):
        type_ = variable.type
        if isinstance(type_, Array) and type_.element in self.functions:
            return [self.instance(type_.element) for _ in range(type_.low, type_.high + 1)]
        if isinstance(type_, str) and type_ in self.functions:
            return self.instance(type_)
        return default(variable.type) if variable.initial is None else held(variable.initial, variable.type)

    def instance(self, name):
        block = self.functions[name]
        own = {v.name: self.initial(v) for v in [*block.inputs, *block.outputs, *block.locals]}
        return {**own, "#block": block}

    def scan(self):
        """Run once; return the line of the fault, or None."""
        with np.errstate(all="ignore"):
            try:
                self.run(self.program.body, self.main)
            except ReturnError:
                pass
            except FaultError as fault:
                return fault.line
        return None

    # statements

    def run(self, statements, frame):
        for each in statements:
            self.step(each, frame)

    def at(self, line, node, frame):
        """Evaluate; a fault gets the line."""
        try:
            return self.value(node, frame)
        except FaultError as fault:
            fault.line = fault.line or line
            raise

    def step(self, node, frame):
        try:
            self.execute(node, frame)
        except FaultError as fault:
            fault.line = fault.line or node.line
            raise

    def execute(self, node, frame):
        match node:
            case Assign():
                value = self.value(node.value, frame)
                self.place(node.target, frame).set(held(value, node.target.type))
            case Word():
                raise {"EXIT": LeaveError, "CONTINUE": NextError, "RETURN": ReturnError}[node.text]
            case If():
                for line, (condition, body) in zip(node.lines, node.branches, strict=True):
                    if condition is None or self.at(line, condition, frame):
                        self.run(body, frame)
                        break
            case For():
                self.loop(node, frame)
            case While():
                self.turns(node, frame)
            case Case():
                selector = self.value(node.selector, frame)
                for labels, body in node.branches:
                    if any(low <= selector <= high for low, high in labels):
                        self.run(body, frame)
                        return
                self.run(node.otherwise or [], frame)
            case BlockCall():
                self.call_block(node, frame)
            case SuperCall():
                self.run_block(node.block, frame)

    def loop(self, node, frame):
        control, type_ = self.place(node.control, frame), node.control.type
        control.set(held(self.value(node.start, frame), type_))
        end = self.value(node.end, frame)
        step = 1 if node.step is None else self.value(node.step, frame)
        low, high = limits(type_)
        while control.get() <= end if step > 0 else control.get() >= end:
            try:
                self.run(node.body, frame)
            except LeaveError:
                return
            except NextError:
                pass
            following = control.get() + step
            if not low <= following <= high:
                return
            control.set(following)

    def turns(self, node, frame):
        counter = self.place(node.counter, frame)
        counter.set(0)
        while node.repeat or (
            not (counter.get() >= node.limit) and self.at(node.test_line, node.condition, frame)
        ):
            counter.set(counter.get() + 1)
            try:
                self.run(node.body, frame)
            except LeaveError:
                return
            except NextError:
                pass
            if node.repeat and (
                counter.get() >= node.limit or self.at(node.test_line, node.condition, frame)
            ):
                return

    def call_block(self, node, frame):
        instance = self.place(node.instance, frame).get()
        for name, argument, kind in node.args:
            if kind == "input":
                type_ = next(v.type for v in node.block.inputs if v.name == name)
                instance[name] = held(self.value(argument, frame), type_)
            elif kind == "inout":
                instance[name] = self.place(argument, frame)
        self.run_block(node.block, instance)
        for name, argument, kind in node.args:
            if kind == "output":
                self.place(argument, frame).set(held(instance[name], argument.type))

    def run_block(self, block, instance):
        """Run a body; a block without one has that of its base."""
        while block.base is not None and not block.body:
            block = block.base
        instance.update({v.name: self.initial(v) for v in block.temps})
        with contextlib.suppress(ReturnError):
            self.run(block.body, instance)

    def call_method(self, node, frame):
        own = frame.get("#self", frame)
        if isinstance(node.instance, str):  # SUPER
            instance, method = own, node.method
        else:
            instance = own if node.instance is None else self.place(node.instance, frame).get()
            method = instance["#block"].find(node.method.name)
        inner = {v.name: self.initial(v) for v in [*method.inputs, *method.locals]}
        for name, argument, _ in node.args:
            inner[name] = held(
                self.value(argument, frame), next(v.type for v in method.inputs if v.name == name)
            )
        inner |= {method.name: default(method.result), "#self": instance}
        with contextlib.suppress(ReturnError):
            self.run(method.body, inner)
        return inner[method.name]

    # places

    def scope_of(self, name, frame):
        if name in frame:
            return frame
        return frame["#self"] if name in frame.get("#self", {}) else self.globals

    def place(self, node, frame):
        match node:
            case Var():
                found = self.scope_of(node.name, frame)
                return found[node.name] if isinstance(found[node.name], Place) else Place(found, node.name)
            case Member():
                return Place(self.place(node.base, frame).get(), node.name)
            case Index():
                base = self.place(node.base, frame).get()
                index, array = self.value(node.index, frame), node.base.type
                if not array.low <= index <= array.high:
                    raise FaultError("index")
                return Place(base, index - array.low)
            case Deref():
                there = self.place(node.base, frame).get()
                if there is None:
                    raise FaultError("NULL")
                return there.place

    # expressions

    def value(self, node, frame):
        match node:
            case Lit():
                return held(node.value, node.type) if not isinstance(node.type, String) else node.value
            case Var() | Member() | Index() | Deref():
                return self.place(node, frame).get()
            case RefOf():
                return None if node.place is None else Reference(self.place(node.place, frame))
            case MethodCall():
                return self.call_method(node, frame)
            case Code():
                text, at = self.value(node.of, frame), self.value(node.index, frame)
                if not 1 <= at <= len(text):
                    raise FaultError("index")
                return ord(text[at - 1])
            case Unary():
                return self.unary(node, self.value(node.of, frame))
            case Binary():
                return self.binary(node, frame)
            case Call():
                return self.standard(node, [self.value(each, frame) for each in node.args])
            case UserCall():
                return self.call(node, frame)

    def unary(self, node, value):
        if node.op == "NOT":
            return not value if node.type == "BOOL" else wrap(~value, node.type)
        if node.type in FLOATS:
            return -value
        return wrap(-value, "LINT" if node.type in ("TIME", "LTIME") else node.type)

    def binary(self, node, frame):
        left = self.value(node.left, frame)
        if node.type == "BOOL" and node.op in ("AND", "&", "OR"):
            decided = left if node.op == "OR" else not left
            return bool(left) if decided else bool(self.value(node.right, frame))
        right = self.value(node.right, frame)
        if node.operands in FLOATS:
            left, right = FLOATS[node.operands](left), FLOATS[node.operands](right)
        match node.op:
            case "=":
                return bool(left == right)
            case "<>":
                return bool(left != right)
            case "<":
                return bool(left < right)
            case "<=":
                return bool(left <= right)
            case ">":
                return bool(left > right)
            case ">=":
                return bool(left >= right)
            case "AND" | "&":
                return left & right
            case "OR":
                return left | right
            case "XOR":
                return left ^ right
        if node.operands in FLOATS:
            return {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[node.op](left, right)
        type_ = "LINT" if node.type == "TIME" or node.type in MOMENTS else node.type
        if node.type == "TOD":
            return wrap(left + right if node.op == "+" else left - right, "LINT") % DAY_NS
        match node.op:
            case "+":
                return wrap(left + right, type_)
            case "-":
                return wrap(left - right, type_)
            case "*":
                return wrap(left * right, type_)
            case "/":
                return wrap(quotient(left, right), type_)
            case "MOD":
                return wrap(remainder(left, right), type_)

    def call(self, node, frame):
        function = node.function
        inner = {v.name: self.initial(v) for v in [*function.inputs, *function.outputs, *function.locals]}
        inner[function.name] = default(function.result)
        for name, argument, kind in node.args:
            if kind == "input":
                inner[name] = held(
                    self.value(argument, frame), next(v.type for v in function.inputs if v.name == name)
                )
            elif kind == "inout":
                inner[name] = self.place(argument, frame)
        with contextlib.suppress(ReturnError):
            self.run(function.body, inner)
        for name, argument, kind in node.args:
            if kind == "output":
                self.place(argument, frame).set(held(inner[name], argument.type))
        return inner[function.name]

    def standard(self, node, args):
        name, type_ = node.name, node.type
        if "_TO_" in name:
            return converted(args[0], *name.split("_TO_"))
        if name in STRING_FUNCTIONS:
            result = STRING_FUNCTIONS[name](*args)
            return result[:MAX_STRING] if isinstance(result, str) else result
        match name:
            case "ABS":
                return abs(args[0]) if type_ in REALS else wrap(abs(args[0]), type_)
            case "MIN":
                return min(args)
            case "MAX":
                return max(args)
            case "LIMIT":
                return min(max(args[1], args[0]), args[2])
            case "SEL":
                return args[2] if args[0] else args[1]
            case "MUX":
                if not 0 <= args[0] < len(args) - 1:
                    raise FaultError("MUX")
                return args[args[0] + 1]
        width, (value, count) = BITS[type_], args
        if name in ("SHL", "SHR"):
            if not 0 <= count < width:
                return 0
            return wrap(value << count, type_) if name == "SHL" else value >> count
        count = count % width if name == "ROL" else -count % width
        return wrap(value << count | value >> (width - count), type_)


def _cut(text, length, position):
    """Return what is before, in and after the part of `length` characters at `position` (from 1)."""
    start = max(position, 1) - 1
    end = start + max(length, 0)
    return text[:start], text[start:end], text[end:]


def _replace(text, new, length, position):
    before, _, after = _cut(text, length, position)
    return before + new + after


STRING_FUNCTIONS = {
    "LEN": len,
    "LEFT": lambda text, length: text[: max(length, 0)],
    "RIGHT": lambda text, length: text[max(len(text) - max(length, 0), 0) :],
    "MID": lambda text, length, position: _cut(text, length, position)[1],
    "CONCAT": lambda *texts: "".join(texts),
    "INSERT": lambda text, new, position: text[: max(position, 0)] + new + text[max(position, 0) :],
    "DELETE": lambda text, length, position: _replace(text, "", length, position),
    "REPLACE": _replace,
    "FIND": lambda text, part: text.find(part) + 1 if part else 0,
}
