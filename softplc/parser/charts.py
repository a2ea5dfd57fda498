"""Sequential function charts in text.

Source: IEC 61131-3:2013, 6.7, tables 54 to 57.
"""

from __future__ import annotations

from softplc.parser.cursor import SyntaxFault
from softplc.parser.statements import POU_STARTS, Statements
from softplc.syntax import (
    ActionDecl,
    Association,
    Chart,
    Direct,
    Expr,
    Index,
    Literal,
    Member,
    Name,
    Statement,
    StepDecl,
    TransitionDecl,
)

QUALIFIERS = ("N", "R", "S", "L", "D", "P", "P0", "P1", "SD", "DS", "SL")
TIMED = ("L", "D", "SD", "DS", "SL")
PARTS = ("STEP", "TRANSITION", "ACTION")
PART_ENDS = ("END_STEP", "END_TRANSITION", "END_ACTION")


class Charts(Statements):
    """The part of the parser that reads charts."""

    def at_chart(self) -> bool:
        if self.at_keyword("INITIAL_STEP"):
            return True
        named = self.peek().kind == "id" and self.peek(2).text == ":" and self.peek(3).text != "="
        return self.token.kind == "id" and self.token.key in ("STEP", "ACTION") and named

    def chart(self) -> Chart:
        """Read steps, transitions and actions up to the end of the POU or action."""
        chart = Chart(self.token.at, self.token.end)
        while True:
            start = self.position
            try:
                if self.at_keyword("INITIAL_STEP") or self._at("STEP"):
                    chart.steps.append(self._step())
                elif self._at("TRANSITION"):
                    chart.transitions.append(self._transition())
                elif self._at("ACTION"):
                    chart.actions.append(self._action())
                elif not self.take_op(";"):
                    return chart
            except SyntaxFault:
                self.skip_names(start)
                ends = (*PART_ENDS, "END_PROGRAM", "END_FUNCTION_BLOCK", "END_METHOD", *POU_STARTS)
                self.skip_to(*ends, semicolon=False)
                if self.at_keyword(*PART_ENDS):
                    self.advance()

    def _at(self, key: str) -> bool:
        return self.token.kind == "id" and self.token.key == key

    def _close(self, key: str) -> None:
        self.expect_keyword(key)
        self.take_op(";")

    def _step(self) -> StepDecl:
        initial = self.advance().key == "INITIAL_STEP"
        name = self.expect_name("the name of the step")
        self.expect_op(":")
        associations: list[Association] = []
        while not self.at_keyword("END_STEP"):
            associations.append(self._association())
        self._close("END_STEP")
        return StepDecl(name.at, name.end, name.text, initial, associations)

    def _association(self) -> Association:
        name = self.expect_name("an action or END_STEP")
        qualifier: str = "N"
        time: Expr | None = None
        indicators: list[Expr] = []
        if self.take_op("("):
            if not self.at_op(",") and not self.at_op(")"):
                qualifier = self._qualifier()
            while self.take_op(","):
                first = self.token
                value = self.expression()
                indicator = isinstance(value, Name | Member | Index | Direct)
                if time is None and (qualifier in TIMED or not indicator):
                    time = value
                elif not indicator:
                    raise self.fail_at(first, "an indicator is a variable", "name one, or remove it")
                else:
                    indicators.append(value)
            self.expect_op(")")
        self.semicolon()
        return Association(name.at, name.end, name.text, qualifier, time, indicators)

    def _qualifier(self) -> str:
        word = self.expect_name("a qualifier")
        if word.key not in QUALIFIERS:
            raise self.fail_at(
                word, f"there is no qualifier {word.text}", f"there are {', '.join(QUALIFIERS)}"
            )
        return word.key

    def _transition(self) -> TransitionDecl:
        start = self.advance()
        if self.token.kind == "id" and self.token.key != "FROM":
            self.advance()
        priority = self._priority() if self.take_op("(") else 1 << 16
        sources = self._steps("FROM")
        if not self.take_keyword("TO"):
            raise self.fail("TO")
        targets = self._step_names()
        before: list[Statement] = []
        if self.take_op(":"):
            self._open = ()
            while not self.at_op(":=") and not self.at_keyword("END_TRANSITION") and self.token.kind != "end":
                before.append(self.statement())
        if not self.take_op(":="):
            raise self.fail("':='", "the condition is written after :=")
        condition: Expr = self.expression()
        self.semicolon()
        self._close("END_TRANSITION")
        return TransitionDecl(start.at, self.previous_end, priority, sources, targets, condition, before)

    def _priority(self) -> int:
        word = self.expect_name("PRIORITY")
        self.expect_op(":=")
        value = self.expression()
        self.expect_op(")")
        if word.key != "PRIORITY" or not isinstance(value, Literal) or not isinstance(value.literal, int):
            raise self.fail_at(word, "a transition has a PRIORITY := number", "write (PRIORITY := 1)")
        return int(value.literal)

    def _steps(self, key: str) -> list[tuple[str, int]]:
        if not self._at(key):
            raise self.fail(key)
        self.advance()
        return self._step_names()

    def _step_names(self) -> list[tuple[str, int]]:
        names: list[tuple[str, int]] = []
        several = self.take_op("(")
        while True:
            name = self.expect_name("the name of a step")
            names.append((name.text, name.at))
            if not several or not self.take_op(","):
                break
        if several:
            self.expect_op(")")
        return names

    def _action(self) -> ActionDecl:
        self.advance()
        name = self.expect_name("the name of the action")
        if not (self.profile.objects and not self.at_op(":")):
            self.expect_op(":")
        self._open = ()
        chart = self.chart() if self.at_chart() else None
        body = self.body()
        self._close("END_ACTION")
        return ActionDecl(name.at, name.end, name.text, body, chart)
