"""Random typed programs that compile: every expression has a known type."""

from __future__ import annotations

import random

from st_objects import COLOUR, SPECIAL, Objects, references
from st_oracle import limits
from st_tree import (
    BITS,
    MOMENTS,
    REALS,
    SIGNED,
    UNSIGNED,
    WHOLE,
    Array,
    Assign,
    Binary,
    BlockCall,
    Call,
    Case,
    Code,
    Declared,
    Enum,
    For,
    Function,
    If,
    Index,
    Lit,
    Member,
    Program,
    Ref,
    String,
    Struct,
    Sub,
    Unary,
    UserCall,
    Var,
    While,
    Word,
)

ELEMENTARY = ("BOOL", *WHOLE, *BITS, "TIME", *REALS, *MOMENTS)
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
WIDER = {
    **{
        t: [s for s in SIGNED if SIGNED[s] < SIGNED[t]] + [u for u in UNSIGNED if UNSIGNED[u] < SIGNED[t]]
        for t in SIGNED
    },
    **{t: [u for u in UNSIGNED if UNSIGNED[u] < UNSIGNED[t]] for t in UNSIGNED},
    **{t: [b for b in BITS if BITS[b] < BITS[t]] for t in BITS},
    "REAL": ["SINT", "INT", "USINT", "UINT"],
    "LREAL": ["REAL", "SINT", "INT", "DINT", "USINT", "UINT", "UDINT"],
}
PAIR = Struct("Pair", (("a", "INT"), ("b", "LREAL"), ("c", Array(0, 2, "DINT"))))


class Generator(Objects):
    """Makes one program of a seed; a small one has fewer statements and variables."""

    elementary = ELEMENTARY

    def __init__(self, seed, small=False):
        self.random = random.Random(seed)
        self.small_program = small
        self.instances, self.own, self.outputs, self.refs = [], [], [], []
        self.functions, self.blocks = [], []
        self.scope, self.readonly, self.loops, self.counters = [], set(), 0, 0
        self.function, self.new_variables = None, []

    def chance(self, p):
        return self.random.random() < p

    def program(self):
        global_variables = [self.declared(f"g{i}", self.random.choice(ELEMENTARY)) for i in range(3)]
        shared = [Var(v.name, v.type) for v in global_variables]
        for number in range(self.random.randrange(2 if self.small_program else 3)):
            self.functions.append(self.pou(f"Fun{number}", self.random.choice(ELEMENTARY)))
        for number in range(self.random.randrange(2 if self.small_program else 4)):
            self.blocks.append(self.block(f"Blk{number}", global_variables))
        many = (2, 5) if self.small_program else (6, 14)
        types = [self.random.choice(ELEMENTARY) for _ in range(self.random.randrange(*many))]
        types += self.random.sample(SPECIAL, 2)
        types += ["INT", "BOOL", String(self.random.randrange(1, 30)), String(254), PAIR]
        types += [
            Array(-1, 2, self.random.choice(ELEMENTARY)),
            Array(0, 2, PAIR),
            Array(1, 4, Array(0, 1, "INT")),
        ]
        types += [Array(5, 7, String(6))]
        variables = [self.declared(f"v{i}", t) for i, t in enumerate(types)]
        variables += [Declared(f"ref{i}", t) for i, t in enumerate(references())]
        self.scope = [*shared, *(Var(v.name, v.type) for v in variables)]
        self.refs = [v for v in self.scope if isinstance(v.type, Ref)]
        self.instances, self.own, self.outputs = [], [], []
        variables += self.instances_of()
        self.new_variables = variables
        body = self.statements(2, self.random.randrange(1, 5)) if self.small_program else []
        body = body or self.statements(3, self.random.randrange(5, 14))
        return Program([PAIR, COLOUR], [*self.functions, *self.blocks], global_variables, variables, body)

    def pou(self, name, result, shared=(), inner=()):
        kinds = [self.random.choice(ELEMENTARY) for _ in range(5)]
        inputs = [self.declared(f"i{k}", t) for k, t in enumerate(kinds[:2])]
        outputs = [self.declared("o0", kinds[2])]
        inouts = [Declared("r0", kinds[3])] if self.chance(0.5) else []
        inside = [self.declared("l0", kinds[4]), self.declared("l1", "INT")]
        self.scope = [Var(v.name, v.type) for v in [*inputs, *outputs, *inouts, *inside]]
        if result is not None:
            self.scope.append(Var(name, result))
        self.instances, self.own, self.outputs, self.refs, self.new_variables = [], [], [], [], inside
        made, self.functions = self.functions, []
        temps, externals, methods = [], [], []
        if result is None:
            temps = [self.declared("t0", self.kind())]
            externals = [Declared(v.name, v.type) for v in shared if self.chance(0.4)]
            methods = self.methods_of([*outputs, *inside])
            self.own = [(None, each) for each in methods]
            self.scope += [Var(v.name, v.type) for v in [*temps, *externals]]
            self.scope += [Var(v.name, v.type) for v in self.special_locals(inside)]
            for number, each in enumerate(inner):
                if self.chance(0.4):
                    inside.append(Declared(f"in{number}", each.name))
                    self.instances.append((Var(f"in{number}", each.name), each))
        body = self.statements(2, self.random.randrange(*((1, 3) if self.small_program else (2, 6))))
        self.functions = made
        return Function(name, inputs, outputs, inouts, inside, result, body, temps, externals, methods)

    def special_locals(self, inside):
        made = [self.declared(f"s{k}", each) for k, each in enumerate(SPECIAL) if self.chance(0.3)]
        inside += made
        return made

    def declared(self, name, type_):
        return Declared(name, type_, self.constant(type_) if self.chance(0.6) else None)

    def constant(self, type_):
        pick = self.random
        match type_:
            case Array():
                return [self.constant(type_.element) for _ in range(type_.low, type_.high + 1)]
            case Struct():
                return {name: self.constant(each) for name, each in type_.members}
            case String():
                return "".join(
                    pick.choice("ab c'$Z\xe4") for _ in range(pick.randrange(min(type_.capacity, 8) + 1))
                )
            case "BOOL":
                return self.chance(0.5)
            case Sub():
                return pick.randint(type_.low, type_.high)
            case Enum():
                return pick.randrange(len(type_.values))
            case "TIME":
                return pick.choice([0, 1, 10**6, 10**9, -(10**9), pick.randrange(-(10**12), 10**12)])
        if type_ in MOMENTS:
            return self.moment_constant(type_)
        if type_ in REALS:
            return pick.choice([0.0, 1.0, -1.5, 0.25, 1e6, pick.randrange(-1000, 1000) / 8])
        low, high = limits(type_)
        return pick.choice(
            [low, high, 0, 1, 2, 3, max(low, -1), pick.randrange(max(low, -20), 21), pick.randint(low, high)]
        )

    # statements

    def statements(self, depth, count):
        return [self.statement(depth) for _ in range(count)]

    def statement(self, depth):
        kind = self.random.random()
        if depth > 0 and kind < 0.15:
            branches = [(self.expression("BOOL", 2), self.statements(depth - 1, self.random.randrange(3)))]
            more = range(self.random.randrange(3))
            branches += [(self.expression("BOOL", 2), self.statements(depth - 1, 1)) for _ in more]
            if self.chance(0.5):
                branches.append((None, self.statements(depth - 1, self.random.randrange(3))))
            return If(branches)
        if depth > 0 and kind < 0.27:
            return self.loop(depth)
        if depth > 0 and kind < 0.34:
            counter = self.counter()
            self.loops += 1
            body = self.statements(depth - 1, self.random.randrange(1, 3))
            self.loops -= 1
            return While(
                counter, self.random.randrange(1, 6), self.expression("BOOL", 2), body, self.chance(0.5)
            )
        if depth > 0 and kind < 0.42:
            return self.case(depth)
        if kind < 0.5 and self.instances:
            return self.block_call()
        if kind < 0.54 and self.loops:
            return If([(self.expression("BOOL", 1), [Word(self.random.choice(["EXIT", "CONTINUE"]))])])
        if kind < 0.55:
            return If([(self.expression("BOOL", 2), [Word("RETURN")])])
        target = self.target()
        if isinstance(target.type, Array | Struct):
            same = [v for v in self.scope if v.type == target.type]
            return Assign(target, self.random.choice(same))
        return Assign(target, self.assigned(target.type))

    def counter(self):
        name = f"w{self.counters}"
        self.counters += 1
        self.new_variables.append(Declared(name, "INT"))
        return Var(name, "INT")

    def loop(self, depth):
        type_ = self.random.choice(list(WHOLE))
        name = f"w{self.counters}"
        self.counters += 1
        self.new_variables.append(Declared(name, type_))
        control = Var(name, type_)
        low, high = limits(type_)
        near = self.random.choice([0, 0, 0, high - 3, low, 1])
        start, span = max(low, min(high, near + self.random.randrange(-2, 3))), self.random.randrange(-1, 6)
        step = None
        down = self.chance(0.4)
        if down or self.chance(0.4):
            size = self.random.randrange(1, 4)
            step = Lit(-size if down else size, "INT", False) if type_ in SIGNED or not down else None
            down = down and step is not None
        end = max(low, min(high, start - span if down else start + span))
        self.loops += 1
        self.scope.append(control)
        self.readonly.add(name)
        body = self.statements(depth - 1, self.random.randrange(1, 4))
        self.scope.remove(control)
        self.loops -= 1
        return For(control, Lit(start, type_, False), Lit(end, type_, self.chance(0.5)), step, body)

    def case(self, depth):
        colours = [v for v in self.scope if v.type == COLOUR]
        if colours and self.chance(0.3):
            order = self.random.sample(range(3), self.random.randrange(1, 4))
            chosen = [([(k, k)], self.statements(depth - 1, self.random.randrange(3))) for k in order]
            otherwise = self.statements(depth - 1, 1) if self.chance(0.5) else None
            return Case(self.random.choice(colours), chosen, otherwise)
        type_ = self.random.choice(["SINT", "INT", "DINT", "USINT", "UINT"])
        low, _ = limits(type_)
        position, branches = max(low, -4), []
        for _ in range(self.random.randrange(1, 4)):
            labels = []
            for _ in range(self.random.randrange(1, 3)):
                end = position + self.random.randrange(3)
                labels.append((position, end))
                position = end + self.random.randrange(1, 4)
            branches.append((labels, self.statements(depth - 1, self.random.randrange(3))))
        otherwise = self.statements(depth - 1, 1) if self.chance(0.5) else None
        selector = self.typed(type_, 2)
        if isinstance(selector, Var):  # a subrange takes no label outside of it
            selector = Binary("+", selector, Lit(0, type_, False), type_, type_)
        return Case(selector, branches, otherwise)

    def block_call(self):
        instance, block = self.random.choice(self.instances)
        args = [(v.name, self.assigned(v.type, 2), "input") for v in block.inputs if self.chance(0.7)]
        for v in block.inouts:
            place = self.writable(v.type)
            args.append((v.name, place, "inout"))
        if self.chance(0.6):
            args.append((block.outputs[0].name, self.writable(block.outputs[0].type), "output"))
        return BlockCall(instance, block, tuple(args))

    def writable(self, type_):
        found = [v for v in self.scope if v.type == type_ and v.name not in self.readonly]
        if not found:
            name = f"w{self.counters}"
            self.counters += 1
            self.new_variables.append(Declared(name, type_))
            return Var(name, type_)
        return self.random.choice(found)

    # places

    def target(self):
        place = self.following(1) if self.chance(0.06) else None
        if place is not None:
            return place
        place = self.random.choice([v for v in self.scope if v.name not in self.readonly])
        return self.inside(place, 1) if self.chance(0.9) else place

    def inside(self, place, depth):
        """Go down into arrays and structures."""
        while isinstance(place.type, Array | Struct):
            if isinstance(place.type, Array):
                place = Index(place, self.index(place.type, depth), place.type.element)
            else:
                name, type_ = self.random.choice(place.type.members)
                place = Member(place, name, type_)
        return place

    def index(self, array, depth):
        constant = Lit(self.random.randint(array.low, array.high), "INT", False)
        if depth < 1 or self.chance(0.5):
            return constant
        controls = [v for v in self.scope if v.type in WHOLE]
        if self.chance(0.75) or not controls:
            wide = self.typed("DINT", 0)
            size = Lit(array.high - array.low + 1, "DINT", False)
            inside = Binary("MOD", Call("ABS", (wide,), "DINT"), size, "DINT", "DINT")
            return Binary("+", inside, Lit(array.low, "DINT", False), "DINT", "DINT")
        return self.random.choice(controls)

    # expressions

    def assigned(self, type_, depth=3):
        """Return a value for a variable of the type: exact, of a narrower type, or an untyped literal."""
        if isinstance(type_, Sub | Enum):
            return self.special(type_, depth)
        if isinstance(type_, Ref):
            return self.reference(type_)
        if self.chance(0.12) and not isinstance(type_, String):
            return Lit(self.constant(type_), type_, False)
        if not isinstance(type_, String) and WIDER.get(type_) and self.chance(0.2):
            return self.typed(self.random.choice(WIDER[type_]), depth - 1)
        return self.expression(type_, depth)

    def expression(self, type_, depth):
        return self.text(depth) if isinstance(type_, String) else self.typed(type_, depth)

    def leaf(self, type_):
        if self.chance(0.1):
            outputs = [each for each in self.outputs if each.type == type_]
            place = self.random.choice(outputs) if outputs else self.following(0)
            if place is not None and place.type == type_:
                return place
        if self.chance(0.15):
            subranges = [v for v in self.scope if isinstance(v.type, Sub)]
            narrow = [Var(v.name, type_) for v in subranges if v.type.base == type_]
            if narrow:
                return self.random.choice(narrow)
        found = [v for v in self.scope if v.type == type_ or isinstance(v.type, Array | Struct)]
        for _ in range(3):
            if found and self.chance(0.8):
                place = self.inside(self.random.choice(found), 0)
                if place.type == type_:
                    return place
        return Lit(self.constant(type_), type_)

    def typed(self, type_, depth):
        if depth <= 0 or self.chance(0.15):
            return self.leaf(type_)
        kind = self.random.random()
        if self.own and self.chance(0.12):
            call = self.method_call(type_, depth)
            if call is not None:
                return call
        if type_ in MOMENTS:
            return self.moment(type_, depth)
        if kind < 0.12:
            return self.conversion(type_, depth)
        if kind < 0.2:
            return self.selection(type_, depth)
        if kind < 0.28:
            calls = [f for f in self.functions if f.result == type_]
            if calls:
                return self.user_call(self.random.choice(calls), depth)
        if type_ == "BOOL":
            return self.boolean(depth)
        if type_ in BITS:
            if kind < 0.45:
                name = self.random.choice(["SHL", "SHR", "ROL", "ROR"])
                return Call(
                    name,
                    (self.typed(type_, depth - 1), self.typed(self.random.choice(["INT", "USINT"]), 0)),
                    type_,
                )
            if kind < 0.6:
                return Unary("NOT", self.typed(type_, depth - 1), type_)
            return self.operation(self.random.choice(["AND", "OR", "XOR"]), type_, depth)
        if type_ == "TIME":
            return self.duration(depth)
        if type_ in WHOLE:
            if kind < 0.36 and type_ in SIGNED:
                return Unary("-", self.leaf_variable(type_), type_)
            if kind < 0.4 and type_ == "INT":
                return self.string_number(depth)
            return self.operation(self.random.choice(["+", "-", "*", "/", "MOD"]), type_, depth)
        if kind < 0.4:
            return Unary("-", self.leaf_variable(type_), type_)
        return self.operation(self.random.choice("+-*/"), type_, depth)

    def leaf_variable(self, type_):
        """Return a variable, or a literal in a conversion, so that a sign stands before no literal."""
        leaf = self.leaf(type_)
        return Call("SEL", (Lit(True, "BOOL"), leaf, leaf), type_) if isinstance(leaf, Lit) else leaf

    def operation(self, op, type_, depth):
        left = self.typed(type_, depth - 1)
        right = self.right(type_, depth)
        if op == "/" and type_ in WHOLE and not isinstance(right, Lit) and self.chance(0.9):
            right = Lit(self.constant(type_), type_)
        if op in ("/", "MOD") and isinstance(right, Lit) and right.value == 0:
            right = Lit(1 if type_ not in REALS else 0.5, type_, right.typed)
        if self.chance(0.1) and not (isinstance(right, Lit) and not right.typed) and op in "+-*":
            left, right = right, left
        if type_ not in BITS and isinstance(left, Lit) and isinstance(right, Lit):
            left = self.leaf_variable(type_)
        return Binary(op, left, right, type_, type_)

    def right(self, type_, depth):
        """Return a right side: exact, narrower, or an untyped literal."""
        kind = self.random.random()
        if kind < 0.25:
            return Lit(self.constant(type_), type_, False)
        if kind < 0.4 and WIDER.get(type_):
            return self.leaf_variable(self.random.choice(WIDER[type_]))
        return self.typed(type_, depth - 1)

    def boolean(self, depth):
        kind = self.random.random()
        if kind < 0.15:
            return Unary("NOT", self.typed("BOOL", depth - 1), "BOOL")
        if kind < 0.55:
            type_ = self.random.choice([*WHOLE, *BITS, *REALS, "TIME", "BOOL", "STRING", *MOMENTS])
            op = self.random.choice(COMPARISONS)
            colours = [v for v in self.scope if v.type == COLOUR]
            if colours and self.chance(0.15):
                left, right = self.random.choice(colours), self.special(COLOUR, depth)
                return Binary(self.random.choice(["=", "<>"]), left, right, "BOOL", COLOUR)
            if type_ == "STRING":
                return Binary(op, self.text(depth - 1), self.text(depth - 1), "BOOL", "STRING")
            left, right = self.leaf_variable(type_), self.right(type_, depth)
            if isinstance(right, Lit) and right.typed:
                right = self.leaf_variable(type_)
            return Binary(op, left, right, "BOOL", type_)
        return self.operation(self.random.choice(["AND", "OR", "XOR", "&"]), "BOOL", depth)

    def duration(self, depth):
        kind = self.random.random()
        if kind < 0.6:
            return self.operation(self.random.choice("+-"), "TIME", depth)
        op, type_ = self.random.choice("*/"), self.random.choice(["INT", "DINT", "SINT", "UINT"])
        factor = self.typed(type_, depth - 1)
        if op == "/" and self.chance(0.9):
            factor = Lit(self.constant(type_) or 1, type_)
        return Binary(op, self.leaf_variable("TIME"), self.variable_factor(factor), "TIME", "TIME")

    def variable_factor(self, factor):
        return (
            Call("SEL", (Lit(True, "BOOL"), factor, factor), factor.type)
            if isinstance(factor, Lit)
            else factor
        )

    def conversion(self, type_, depth):
        if type_ == "TIME":
            source = self.random.choice(["DINT", "LINT"])
        elif type_ == "BOOL":
            source = self.random.choice([*WHOLE, *BITS])
        elif type_ in BITS:
            source = self.random.choice([t for t in (*WHOLE, *BITS, "BOOL") if t != type_])
        elif type_ in WHOLE:
            source = self.random.choice([t for t in (*WHOLE, *BITS, "BOOL", *REALS) if t != type_])
        else:
            source = self.random.choice([t for t in (*WHOLE, *REALS) if t != type_])
        return Call(f"{source}_TO_{type_}", (self.typed(source, depth - 1),), type_)

    def selection(self, type_, depth):
        def some():
            return self.typed(type_, depth - 1)

        if self.chance(0.4) or type_ == "BOOL":
            return Call("SEL", (self.typed("BOOL", depth - 1), some(), some()), type_)
        if self.chance(0.2):
            return Call("MUX", (self.choice(3), some(), some(), some()), type_)
        if type_ in (*WHOLE, "TIME") and self.chance(0.7):
            name = self.random.choice(["MIN", "MAX", "LIMIT"])
            return Call(name, (some(), some(), some()), type_)
        if type_ in (*SIGNED, *REALS):
            return Call("ABS", (some(),), type_)
        return some()

    def choice(self, count):
        """Return a position for MUX, seldom out of range."""
        position = self.typed("INT", 0)
        wild = self.chance(0.1)
        return (
            position
            if wild
            else Binary("MOD", Call("ABS", (position,), "INT"), Lit(count, "INT", False), "INT", "INT")
        )

    def user_call(self, function, depth):
        args = [
            (v.name, self.assigned(v.type, depth - 1), "input") for v in function.inputs if self.chance(0.7)
        ]
        args += [(v.name, self.writable(v.type), "inout") for v in function.inouts]
        if self.chance(0.4):
            args.append((function.outputs[0].name, self.writable(function.outputs[0].type), "output"))
        return UserCall(function, tuple(args), function.result)

    # strings

    def text(self, depth):
        if depth <= 0 or self.chance(0.3):
            found = [v for v in self.scope if isinstance(v.type, String)]
            return (
                self.random.choice(found)
                if found and self.chance(0.8)
                else Lit(self.constant(String(9)), String(9))
            )
        name = self.random.choice(["LEFT", "RIGHT", "MID", "CONCAT", "INSERT", "DELETE", "REPLACE", "SEL"])
        text, number = lambda: self.text(depth - 1), self.small
        args = {
            "LEFT": lambda: (text(), number()),
            "RIGHT": lambda: (text(), number()),
            "MID": lambda: (text(), number(), number()),
            "CONCAT": lambda: (text(), text()),
            "INSERT": lambda: (text(), text(), number()),
            "DELETE": lambda: (text(), number(), number()),
            "REPLACE": lambda: (text(), text(), number(), number()),
            "SEL": lambda: (self.typed("BOOL", 1), text(), text()),
        }[name]()
        return Call(name, args, String(254))

    def small_number(self):
        return Lit(self.random.randrange(30), "INT")

    def small(self):
        return Lit(self.random.randrange(-1, 10), "INT") if self.chance(0.8) else self.leaf("INT")

    def string_number(self, depth):
        found = [v for v in self.scope if isinstance(v.type, String)]
        if found and self.chance(0.6):
            text = self.random.choice(found)
            rest = Binary("MOD", self.small_number(), Call("LEN", (text,), "INT"), "INT", "INT")
            return Code(text, Binary("+", rest, Lit(1, "INT"), "INT", "INT"))
        if self.chance(0.5):
            return Call("LEN", (self.text(depth - 1),), "INT")
        return Call("FIND", (self.text(depth - 1), self.text(depth - 1)), "INT")
