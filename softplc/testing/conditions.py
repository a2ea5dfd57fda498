"""Conditions: ST expressions over a program's variables, compiled by the same compiler.

The conditions of a file become one more program, `iwCase`, compiled with the tested ones into the same
image; its task runs when a condition is asked for, never in a scan. In its text each variable is a copy,
filled before: so a condition sees the inside of program instances and blocks, which no program could.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from runtime.errors import PlantError
from softplc.application import Application, Shape, Symbol, UnknownPathError
from softplc.diagnostics import CompileError, Diagnostic
from softplc.image import STRING_HEADER
from softplc.lexer import Token, tokenise
from softplc.profiles import profile_of
from softplc.simulator import PlcFaultError, Simulator
from softplc.source import SourceSet
from softplc.testing.program import Program
from softplc.testing.trace import text_of

FILE = "conditions of the test"
NAME = "iwCase"
ANONYMOUS = "enumeration"
ROUNDS = 4  # an error of syntax hides errors of other kinds
_COPY = re.compile(r"\biwV([0-9]+)\b", re.IGNORECASE)
_UNKNOWN = re.compile(r"^there is no variable (\w+)$")
_HEAD = f"PROGRAM {NAME} VAR iwWhich : DINT; iwHolds : BOOL; END_VAR VAR"


@dataclass(slots=True)
class Condition:
    """One expression; `copies` are the paths of its variables by number, `problem` is why it has no value."""

    text: str
    translated: str = ""
    copies: dict[int, str] = field(default_factory=dict)
    problem: PlantError | None = None


class Conditions:
    """The conditions of a file; `program` has them besides what it had."""

    def __init__(self, program: Program, texts: Sequence[str]) -> None:
        self._tested = program
        self._types: list[str] = []
        self._numbers: dict[str, int] = {}
        self._owners: dict[int, list[int]] = {}
        self._conditions = [self._translated(text) for text in texts]
        self.program = self._compiled()

    def holds(self, number: int, simulator: Simulator) -> bool:
        """Tell whether a condition holds now.

        Raises:
            PlantError: it is no condition, or its value cannot be computed.
        """
        condition = self._conditions[number]
        if condition.problem is not None:
            raise condition.problem
        for copy, path in condition.copies.items():
            _copy(simulator, path, f"{NAME}.iwV{copy}")
        simulator.write(f"{NAME}.iwWhich", number)
        try:
            simulator.run_task(NAME)
        except PlcFaultError as exc:
            raise PlantError(f"{condition.text}: {exc.cause}", "it has no value then") from None
        return bool(simulator.read(f"{NAME}.iwHolds"))

    def paths(self, number: int) -> list[str]:
        """Return the variables of a condition."""
        return list(self._conditions[number].copies.values())

    def values(self, number: int, simulator: Simulator) -> Iterator[str]:
        """Yield what each variable of a condition is now."""
        for path in self.paths(number):
            yield f"{path} = {text_of(simulator.application.find(path), simulator.read(path))}"

    def _translated(self, text: str) -> Condition:
        """Put copies in the place of variables."""
        condition = Condition(text)
        tokens, wrong = tokenise(SourceSet().add(FILE, text), profile_of(self._tested.profile))
        if wrong:
            condition.problem = PlantError(f"{text}: {wrong[0].message}", wrong[0].remedy)
            return condition
        if any(token.text == ";" for token in tokens):
            condition.problem = PlantError(f"{text}: a condition has no ;", "write one expression of BOOL")
            return condition
        parts, done, position = [], 0, 0
        while position < len(tokens) - 1:
            try:
                end, path = _path(self._tested.application, text, tokens, position)
            except UnknownPathError as exc:
                condition.problem = exc
                return condition
            if path:
                number = self._copy_of(path)
                condition.copies[number] = path
                parts += [text[done : tokens[position].at], f"iwV{number}"]
                done = tokens[end - 1].end
            position = end
        condition.translated = "".join((*parts, text[done:]))
        return condition

    def _copy_of(self, path: str) -> int:
        number = self._numbers.setdefault(path.casefold(), len(self._numbers))
        if number == len(self._types):
            application = self._tested.application
            found = application.find(path)
            text = _leaf_type(found) if isinstance(found, Symbol) else _type(application, found[1])
            self._types.append(text)
        return number

    def _compiled(self) -> Program:
        """Compile those conditions that can be; what is wrong stays with its condition."""
        why = ""
        for _ in range(ROUNDS):
            try:
                return self._tested.beside({FILE: self._source()})
            except CompileError as exc:
                self._blame(exc.diagnostics)
                why = exc.diagnostics[0].message
        raise PlantError(f"the conditions cannot be compiled: {self._told(why)}", "name other variables")

    def _source(self) -> str:
        """Return the program; note which conditions each line is for, so that a finding tells whose it is."""
        good = {n: each for n, each in enumerate(self._conditions) if each.problem is None}
        lines = [_HEAD]
        self._owners = {}
        for copy, type_ in enumerate(self._types):
            owners = [n for n, each in good.items() if copy in each.copies]
            if owners:
                lines.append(f"iwV{copy} : {type_};")
                self._owners[len(lines)] = owners
        lines += ["END_VAR", "CASE iwWhich OF"]
        for n, each in good.items():
            lines += [f"{n}: iwHolds := ({each.translated}", ");"]
            self._owners |= {len(lines) - 1: [n], len(lines): [n]}
        lines += ["ELSE iwHolds := FALSE;", "END_CASE;", "END_PROGRAM"]
        tested = self._tested.application
        own = [] if _is_configured(self._tested) else [name for t in tested.tasks for name in t.programs]
        lines += [f"CONFIGURATION {NAME} RESOURCE {NAME} ON here TASK {NAME} (PRIORITY := 65535);"]
        lines += [f"PROGRAM {each} : {each};" for each in own]
        lines += [f"PROGRAM {NAME} WITH {NAME} : {NAME};", "END_RESOURCE END_CONFIGURATION", ""]
        return "\n".join(lines)

    def _blame(self, findings: Sequence[Diagnostic]) -> None:
        for each in findings:
            for number in self._owners.get(each.line, ()) if each.file == FILE else ():
                condition = self._conditions[number]
                message = self._told(each.message).replace(
                    "expected ';'", "expected the end of the condition"
                )
                remedy = self._nearest(each) or self._told(each.remedy)
                problem = PlantError(f"{condition.text}: {each.code}: {message}", remedy)
                condition.problem = condition.problem or problem

    def _nearest(self, finding: Diagnostic) -> str:
        """Return which variable a name without meaning may stand for: it can be in any program."""
        unknown = _UNKNOWN.search(finding.message)
        paths = [each.path for each in self._tested.application.roots]
        names = {path.rsplit(".", 1)[-1].casefold(): path for path in paths}
        near = get_close_matches(unknown.group(1).casefold(), names, n=1, cutoff=0.7) if unknown else []
        return f"did you mean {names[near[0]]}?" if near else ""

    def _told(self, text: str) -> str:
        """Return a message with variables in the place of their copies."""
        paths = {number: path for each in self._conditions for number, path in each.copies.items()}
        return _COPY.sub(lambda found: paths.get(int(found.group(1)), found.group()), text)


def _is_configured(program: Program) -> bool:
    return [task.name for task in program.application.tasks] != ["default"] or any(
        token.key == "CONFIGURATION"
        for text in program.sources.values()
        for token in tokenise(SourceSet().add("", text), profile_of(program.profile))[0]
    )


def _path(application: Application, text: str, tokens: list[Token], first: int) -> tuple[int, str]:
    """Return the token behind a variable that begins here, and its path; no path where none begins.

    Raises:
        UnknownPathError: what begins here is in no program instance, block or structure.
    """
    token, before = tokens[first], tokens[first - 1].text if first else ""
    if token.kind == "direct":
        return first + 1, application.symbol(token.text).path
    if token.kind != "id" or before == "." or tokens[first + 1].text in (":=", "=>", "("):
        return first + 1, ""
    key = token.text.casefold()
    roots = [each.path.casefold() for each in (*application.access, *application.roots)]
    if not any(each == key or each.startswith(f"{key}.") for each in roots):
        return first + 1, ""
    end = first + 1
    while True:
        if tokens[end].text == "." and tokens[end + 1].kind == "id" and tokens[end + 2].text != "(":
            end += 2
        elif tokens[end].text == "[" and (close := _closed(tokens, end)):
            end = close
        else:
            break
    path = text[token.at : tokens[end - 1].end]
    try:
        application.find(path)
    except UnknownPathError:
        if tokens[end].text == "." and end == first + 1:
            return end, ""  # a function of a namespace
        raise
    return end, path


def _closed(tokens: list[Token], opening: int) -> int:
    """Return the token behind constant indices, 0 where they are none."""
    position = opening + 1
    while tokens[position].text != "]":
        if tokens[position].kind != "int" and tokens[position].text not in (",", "-"):
            return 0
        position += 1
    return position + 1


def _leaf_type(symbol: Symbol) -> str:
    if symbol.type in ("STRING", "WSTRING"):
        return _string(symbol.type, symbol.size)
    return symbol.declared if symbol.values and symbol.declared != ANONYMOUS else symbol.type


def _type(application: Application, shape: Shape) -> str:
    if shape.kind == "string":
        return _string(shape.type, shape.size)
    if shape.kind != "array":
        return shape.name
    ranges = ", ".join(f"{low}..{high}" for low, high in shape.ranges)
    return f"ARRAY[{ranges}] OF {_type(application, application.shapes[shape.element])}"


def _string(type_: str, size: int) -> str:
    return f"{type_}[{(size - STRING_HEADER) // (2 if type_ == 'WSTRING' else 1)}]"


def _copy(simulator: Simulator, path: str, target: str) -> None:
    there, here = (simulator.application.find(each) for each in (path, target))
    if isinstance(there, Symbol) or isinstance(here, Symbol):
        simulator.write(target, simulator.read(path))
    else:
        size, source, destination = there[1].size, there[2], here[2]
        simulator.image[destination : destination + size] = simulator.image[source : source + size]
