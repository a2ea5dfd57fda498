"""Random parts with state or identity: blocks in blocks, methods, heirs, references, enumerations, times."""

from __future__ import annotations

from st_tree import (
    DAY_NS,
    Array,
    Assign,
    Binary,
    Call,
    Declared,
    Deref,
    Enum,
    Function,
    Index,
    Lit,
    Member,
    MethodCall,
    Ref,
    RefOf,
    Sub,
    SuperCall,
    Var,
)

COLOUR = Enum("Colour", ("RED", "GREEN", "BLUE"))
SMALL, SIGNED_SMALL = Sub("USINT", 3, 9), Sub("INT", -5, 5)
SPECIAL = (COLOUR, SMALL, SIGNED_SMALL)


class Objects:
    """Mixed into the generator of programs."""

    def block(self, name, shared):
        """Return a function block, or an heir of an earlier one."""
        parents = [each for each in self.blocks if each.base is None and each.methods and not each.inouts]
        if parents and self.chance(0.5):
            return self.heir(name, self.random.choice(parents))
        return self.pou(name, None, shared, [*self.blocks])

    def methods_of(self, variables):
        """Return methods that see variables of their block; a later one may call an earlier one."""
        methods = []
        for number in range(self.random.randrange(3)):
            methods.append(self.method(f"m{number}", self.kind(), self.inputs_of(), variables, methods))
        return methods

    def kind(self):
        return self.random.choice(self.elementary)

    def inputs_of(self):
        return [self.declared(f"a{k}", self.kind()) for k in range(self.random.randrange(3))]

    def method(self, name, result, inputs, variables, callable_methods, upper=None):
        inside = [self.declared("k0", self.kind())]
        own = [Var(v.name, v.type) for v in [*inputs, *inside]]
        kept = (self.scope, self.instances, self.new_variables, self.functions, self.own, self.refs)
        self.scope = [*own, *(Var(v.name, v.type) for v in variables), Var(name, result)]
        self.instances, self.new_variables, self.functions, self.refs = [], inside, [], []
        self.own = [(None, each) for each in callable_methods] + ([("SUPER", upper)] if upper else [])
        body = self.statements(1, self.random.randrange(1, 4))
        self.scope, self.instances, self.new_variables, self.functions, self.own, self.refs = kept
        return Function(name, inputs, [], [], inside, result, body, word="METHOD PUBLIC")

    def heir(self, name, base):
        """Return a block that extends another one and overrides some of its methods."""
        special = [v for v in base.locals if v.type in SPECIAL]
        variables = [v for v in base.outputs + base.locals[:2] if v.type in self.elementary] + special
        methods = []
        for position, each in enumerate(base.methods):
            if self.chance(0.6):
                made = self.method(
                    each.name, each.result, each.inputs, variables, base.methods[:position], each
                )
                made.word = "METHOD PUBLIC OVERRIDE"
                methods.append(made)
        body = []
        if self.chance(0.5):
            kept = (self.scope, self.instances, self.new_variables, self.functions, self.own, self.refs)
            plain = [v for v in [*base.inputs, *variables] if v.type in self.elementary]
            self.scope = [Var(v.name, v.type) for v in plain]
            self.instances, self.new_variables, self.functions, self.refs = [], None, [], []
            self.own = [(None, base.find(each.name)) for each in base.methods]
            body = [SuperCall(base), *(self.simple() for _ in range(self.random.randrange(3)))]
            self.scope, self.instances, self.new_variables, self.functions, self.own, self.refs = kept
        return Function(
            name, base.inputs, base.outputs, base.inouts, base.locals, None, body, methods=methods, base=base
        )

    def simple(self):
        """Return an assignment that needs no further variable."""
        target = self.random.choice(self.scope)
        return Assign(target, self.assigned(target.type, 2))

    def instances_of(self):
        """Return variables of Main that are blocks, alone and in arrays."""
        variables = []
        for number, block in enumerate(self.blocks):
            variables.append(Declared(f"blk{number}", block.name))
            self.instances.append((Var(f"blk{number}", block.name), block))
            if self.chance(0.4):
                array = Array(0, 1, block.name)
                variables.append(Declared(f"row{number}", array))
                for position in range(2):
                    place = Index(Var(f"row{number}", array), Lit(position, "INT", False), block.name)
                    self.instances.append((place, block))
        for place, block in self.instances:
            self.own += [(place, each) for each in self.all_methods(block)]
            self.outputs += [Member(place, each.name, each.type) for each in block.outputs]
        return variables

    def all_methods(self, block):
        root = block
        while root.base is not None:
            root = root.base
        return [block.find(each.name) for each in root.methods]

    def method_call(self, type_, depth):
        found = [(place, each) for place, each in self.own if each.result == type_]
        if not found:
            return None
        place, method = self.random.choice(found)
        args = tuple(
            (v.name, self.assigned(v.type, depth - 1), "input") for v in method.inputs if self.chance(0.8)
        )
        if not args and method.inputs:
            args = ((method.inputs[0].name, self.assigned(method.inputs[0].type, 0), "input"),)
        return MethodCall(place, method, args, type_)

    # references, subranges, enumerations, times

    def reference(self, type_):
        """Return a value for a reference: seldom none."""
        if self.chance(0.1):
            return RefOf(None, type_)
        same = [v for v in self.scope if v.type == type_ and v.name not in self.readonly]
        if same and self.chance(0.2):
            return self.random.choice(same)
        found = [v for v in self.scope if self.holds(v.type, type_.target) and v.name not in self.readonly]
        if not found:
            return RefOf(None, type_)
        place = self.inside(self.random.choice(found), 0)
        return RefOf(place if place.type == type_.target else None, type_)

    def holds(self, type_, wanted):
        return type_ == wanted or (isinstance(type_, Array) and type_.element == wanted)

    def special(self, type_, depth):
        """Return a value for a subrange or an enumeration."""
        if isinstance(type_, Enum):
            same = [v for v in self.scope if v.type == type_]
            if same and self.chance(0.4):
                return self.random.choice(same)
            return Lit(self.random.randrange(len(type_.values)), type_)
        kind = self.random.random()
        if kind < 0.04:
            free = [v for v in self.scope if v.type == type_.base]  # no constant, which would be refused
            if free:
                return self.random.choice(free)
        if kind < 0.4:
            return Lit(self.random.randint(type_.low, type_.high), type_.base, False)
        low, high = (Lit(each, type_.base) for each in (type_.low, type_.high))
        return Call("LIMIT", (low, self.typed(type_.base, depth - 1), high), type_.base)

    def moment(self, type_, depth):
        """Return a duration, a time of day or a date and time."""
        if type_ == "LTIME":
            return Binary(self.random.choice("+-"), self.leaf(type_), self.leaf_variable(type_), type_, type_)
        return Binary(
            self.random.choice("+-"), self.leaf_variable(type_), self.typed("TIME", depth - 1), type_, type_
        )

    def moment_constant(self, type_):
        pick = self.random
        if type_ == "LTIME":
            return pick.choice([0, 1, -(10**9), pick.randrange(-(10**15), 10**15)])
        if type_ == "TOD":
            return pick.choice([0, DAY_NS - 10**9, pick.randrange(86_400) * 10**9])
        return pick.choice([0, 10**9, pick.randrange(2**31) * 10**9])

    def following(self, depth):
        """Return what a reference leads to, or None if there is none."""
        found = [v for v in self.refs if v.name not in self.readonly]
        if not found:
            return None
        reference = self.random.choice(found)
        return Deref(reference, reference.type.target)


def references():
    return [Ref(each) for each in ("INT", "LREAL")]
