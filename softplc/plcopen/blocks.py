"""Blocks of networks: calls of functions and function block instances.

Source: IEC 61131-3:2013, 6.6.1.5 (EN and ENO), 8.3.2.
"""

from __future__ import annotations

from softplc.library.functions import FUNCTIONS
from softplc.plcopen.graph import Node, Pin
from softplc.plcopen.lines import Lines, id_of, part
from softplc.plcopen.notes import NAME, NETWORK
from softplc.plcopen.scope import OPEN, is_standard
from softplc.plcopen.text import Code, Origin, joined
from softplc.plcopen.values import (
    CHAINED,
    OPERATORS,
    Value,
    is_name,
    is_variable,
    negation,
    operation,
    written,
)

ASSIGNING = ("outVariable", "coil", "inOutVariable")
COMPARISONS = ("GT", "GE", "EQ", "LE", "LT", "NE")


class Blocks(Lines):
    """The part that writes calls."""

    def block(self, node: Node) -> None:
        """Write the call of a block, or keep the expression that it is."""
        origin = self.graph.origin(node.element)
        if not is_name(node.type_name.replace(".", "")):
            self.notes.error(NETWORK, "the block has no type", origin, "name a function or a function block")
        elif node.instance:
            self._call(node, node.instance, origin)
        elif "." in node.type_name or self.scope.is_action(node.type_name):
            self._call(node, node.type_name, origin)
        elif self.scope.units.is_function_block(node.type_name):
            message = f"the block {node.type_name} has no instance"
            self.notes.error(NETWORK, message, origin, "give it an instanceName, and declare it")
        else:
            self._function(node, origin)

    def _arguments(self, node: Node, origin: Origin, *, enable: bool = True) -> list[Code] | None:
        """Return named arguments; pins that nothing is connected with keep what they have."""
        result: list[Code] = []
        for pin in node.inputs:
            if (not pin.links and pin.text is None) or (pin.name.upper() == "EN" and not enable):
                continue
            if pin.name and not is_name(pin.name):
                self.notes.error(NAME, f"{pin.name!r} is no parameter", origin, "name one of the block")
                return None
            value = self.incoming(node, pin)
            if value is None:
                return None
            if pin.name.upper() == "EN" and value.constant:
                continue
            named = origin.code(f"{pin.name} := ") if pin.name else Code()
            result.append(named + value.code)
        for pin in node.in_outs:
            variable = self._passed(node, pin, origin)
            if variable is None:
                return None
            result.append(origin.code(f"{pin.name} := ") + variable)
        return result

    def _passed(self, node: Node, pin: Pin, origin: Origin) -> Code | None:
        """Return the variable that is passed at a pin of VAR_IN_OUT."""
        value = self.either(node, pin) if pin.links or pin.text is not None else None
        if value is None:
            message = f"{pin.name} of {node.type_name} needs a variable"
            self.notes.error(NETWORK, message, origin, "connect a variable")
            return None
        if is_variable(str(value.code)):
            return value.code
        name = self.scope.add(f"n{id_of(node)}{part(pin.name)}", OPEN, origin)
        self.write(origin.code(f"{name} := ") + value.code + origin.code(";"))
        return origin.code(name)

    def _call(self, node: Node, callee: str, origin: Origin) -> None:
        if not is_variable(callee):
            self.notes.error(NETWORK, f"{callee!r} is no instance", origin, "name a variable")
            return
        arguments = self._arguments(node, origin)
        if arguments is None:
            return
        if self.taken(node, "ENO"):
            arguments.append(self._enable_out(node, origin))
        self.write(origin.code(f"{callee}(") + joined(origin.code(", "), arguments) + origin.code(");"))
        for pin in node.outputs:
            if pin.text is not None and pin.name.upper() != "ENO":
                self._assign(pin, Value(origin.code(f"{callee}.{pin.name}")), origin)

    def _assign(self, pin: Pin, value: Value, origin: Origin) -> None:
        """Write what stands at an output pin itself."""
        target = written(pin.text, origin, self.notes)
        if target is not None and is_variable(str(target.code)):
            if pin.negated:
                value = negation(value, origin)
            assignment = target.code + origin.code(" := ") + value.code + origin.code(";")
            if value.guard is not None:
                self.write_if(value.guard, assignment, origin)
            else:
                self.write(assignment)

    def _enable_out(self, node: Node, origin: Origin) -> Code:
        name = self.before.get((node, "ENO")) or self.scope.add(f"n{id_of(node)}_ENO", "BOOL", origin)
        self.values[node, "ENO"] = Value(origin.code(name))
        return origin.code(f"ENO => {name}")

    # Functions ---------------------------------------------------------------------------------------

    def _function(self, node: Node, origin: Origin) -> None:
        name = node.type_name
        result = self._result_pin(node)
        enable = node.input("EN")
        guarded = enable is not None and bool(enable.links or enable.text)
        enabled = self.incoming(node, enable) if guarded and enable is not None else None
        if guarded and enabled is None:
            return
        if enabled is not None and enabled.constant:
            enabled = None
        others = [each for each in node.outputs if each is not result and each.name.upper() != "ENO"]
        if enabled is not None and result is not None and self._only_assigned(node, result):
            self._conditional(node, result, enabled, origin)
            return
        flagged = enabled is not None or self.taken(node, "ENO")
        if is_standard(name) and not self.scope.units.kinds.get(name.casefold()):
            value = self._standard(node, origin, enabled, named=flagged)
        else:
            value = self._declared(node, origin, enabled, others, flagged=flagged)
        if value is None:
            return
        if result is None:
            self.write(value.code + origin.code(";"))
            return
        key = result.name.upper()
        kind = "BOOL" if name.upper() in COMPARISONS else OPEN
        if flagged or others or node.in_outs:
            variable = self.before.get((node, key)) or self.scope.add(
                f"n{id_of(node)}{part(key)}", kind, origin
            )
            self.write(origin.code(f"{variable} := ") + value.code + origin.code(";"))
            guard = self.values[node, "ENO"].code if enabled is not None else None
            self.values[node, key] = Value(origin.code(variable), guard=guard)
        elif self.taken(node, key) or (node, key) in self.before:
            self.keep(node, key, value, kind)
        if result.text is not None:
            self._assign(result, self.values.get((node, key), value), origin)

    def _only_assigned(self, node: Node, result: Pin) -> bool:
        """Tell whether a standard function only goes into variables: then its EN is their condition."""
        key = result.name.upper()
        return (
            is_standard(node.type_name)
            and self.scope.units.kinds.get(node.type_name.casefold()) is None
            and bool(self._takers(node, key))
            and not any((node, each) in self.before for each in (key, "ENO"))
            and all(each.kind in ASSIGNING for each in self._takers(node, key))
            and all(len(pin.links) == 1 for each in self._takers(node, key) for pin in each.taking)
        )

    def _takers(self, node: Node, key: str) -> list[Node]:
        """Return what takes an output."""
        return [
            each
            for each in self.order.consumers.get(node, [])
            for pin in each.taking
            for link in pin.links
            if link.source == node.id and self.pin_name(node, link.parameter) == key
        ]

    def _conditional(self, node: Node, result: Pin, enabled: Value, origin: Origin) -> None:
        """Keep a function for the variables that take it, which are written only if it is enabled."""
        value = self._standard(node, origin, None, named=False)
        if value is None:
            return
        both = Value(enabled.code + value.code)
        takers = len(self.order.consumers[node])
        flagged = self.taken(node, "ENO")
        if flagged or self.needs_variable(node, both, takers):
            name = self.scope.add(f"n{id_of(node)}_{'ENO' if flagged else 'EN'}", "BOOL", origin)
            self.write(origin.code(f"{name} := ") + enabled.code + origin.code(";"))
            enabled = Value(origin.code(name))
            self.values[node, "ENO"] = enabled
            if self.needs_variable(node, value, takers):
                variable = self.scope.add(f"n{id_of(node)}{part(result.name)}", OPEN, origin)
                assignment = origin.code(f"{variable} := ") + value.code + origin.code(";")
                self.write_if(enabled.code, assignment, origin)
                value = Value(origin.code(variable))
        kept = Value(value.code, value.level, guard=enabled.code)
        self.values[node, result.name.upper()] = kept
        if result.text is not None:
            self._assign(result, kept, origin)

    def _result_pin(self, node: Node) -> Pin | None:
        """Return the output that is the result: the one that is no VAR_OUTPUT."""
        pins = [each for each in node.outputs if each.name.upper() != "ENO"]
        declared = {each.casefold() for each in self.scope.units.outputs.get(node.type_name.casefold(), ())}
        rest = [each for each in pins if each.name.casefold() not in declared]
        named = ("", "OUT", node.type_name.upper())
        return next((each for each in rest if each.name.upper() in named), rest[0] if rest else None)

    def _standard(self, node: Node, origin: Origin, enabled: Value | None, *, named: bool) -> Value | None:
        """Return a standard function as an operator, or as a call."""
        name = node.type_name.upper()
        pins = [each for each in node.inputs if each.name.upper() != "EN"]
        values: list[Value] = []
        for pin in pins:
            if not pin.links and pin.text is None:
                message = f"the input {pin.name or len(values) + 1} of {name} is connected with nothing"
                self.notes.error(NETWORK, message, origin, "connect it, or write a value")
                return None
            value = self.incoming(node, pin)
            if value is None:
                return None
            values.append(value)
        if not named:
            if name == "NOT" and len(values) == 1:
                return negation(values[0], origin)
            if name == "MOVE" and len(values) == 1:
                return Value(values[0].code, values[0].level)
            operator = OPERATORS.get(name)
            if operator is not None and (len(values) == 2 or (len(values) > 2 and name in CHAINED)):
                return operation(operator, values, origin)
            arguments = [each.code for each in values]
        else:
            function = FUNCTIONS.get(name)
            names = [each for each, _ in function.parameters] if function is not None else ["IN"]
            arguments = []
            if enabled is not None:
                arguments.append(origin.code("EN := ") + enabled.code)
            for number, (pin, value) in enumerate(zip(pins, values, strict=True)):
                own = pin.name or (names[number] if number < len(names) else f"IN{number + 1}")
                arguments.append(origin.code(f"{own} := ") + value.code)
            arguments.append(self._enable_out(node, origin))
        return _called(node.type_name, arguments, origin)

    def _declared(
        self, node: Node, origin: Origin, enabled: Value | None, others: list[Pin], *, flagged: bool
    ) -> Value | None:
        """Return the call of a function of the user."""
        arguments = self._arguments(node, origin, enable=False)
        if arguments is None:
            return None
        if enabled is not None:
            arguments.insert(0, origin.code("EN := ") + enabled.code)
        for pin in others:
            key = pin.name.upper()
            if self.taken(node, key) or pin.text is not None or (node, key) in self.before:
                variable = self.before.get((node, key)) or self.scope.add(
                    f"n{id_of(node)}{part(key)}", OPEN, origin
                )
                arguments.append(origin.code(f"{pin.name} => {variable}"))
                self.values[node, key] = Value(origin.code(variable))
        if flagged:
            arguments.append(self._enable_out(node, origin))
        return _called(node.type_name, arguments, origin)


def _called(name: str, arguments: list[Code], origin: Origin) -> Value:
    return Value(origin.code(f"{name}(") + joined(origin.code(", "), arguments) + origin.code(")"))
