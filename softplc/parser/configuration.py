"""Configurations: resources, tasks and program instances.

Source: IEC 61131-3:2013, 6.8.
"""

from __future__ import annotations

from softplc.parser.cursor import SyntaxFault
from softplc.parser.pous import Pous
from softplc.parser.statements import POU_STARTS
from softplc.syntax import ConfigurationDecl, Expr, InstanceDecl, ResourceDecl, TaskDecl, VarBlock


class Configurations(Pous):
    """The part of the parser that reads configurations."""

    def _configuration(self) -> ConfigurationDecl:
        start = self.advance()
        name = self.expect_name("the name of the configuration")
        blocks: list[VarBlock] = []
        resources: list[ResourceDecl] = []
        loose = ResourceDecl(start.at, start.end, "", [], [], [])
        while not self.at_keyword("END_CONFIGURATION"):
            if self.at_keyword("VAR_GLOBAL"):
                blocks.append(self._var_block())
            elif self.at_keyword("VAR_ACCESS", "VAR_CONFIG"):
                self._refused()
            elif self.at_keyword("RESOURCE"):
                resources.append(self._resource())
            elif not self._resource_part(loose):
                raise self.fail("RESOURCE, TASK, PROGRAM, VAR_GLOBAL or END_CONFIGURATION")
        end = self.advance().end
        self.take_op(";")
        if loose.tasks or loose.instances:
            resources.append(loose)
        return ConfigurationDecl(start.at, end, name.text, blocks, resources, self.space)

    def _refused(self) -> None:
        """Tell that a section is not supported, and skip it."""
        token = self.token
        remedies = {
            "VAR_ACCESS": "bind tags to variables in the plant folder instead",
            "VAR_CONFIG": "write the address at the variable itself: AT %IX0.0",
        }
        message = f"{token.key} is not supported"
        self.note("ST1017", message, token.at, token.end, remedies[token.key])
        self.skip_to("END_VAR", "END_CONFIGURATION", *POU_STARTS, semicolon=False)
        self.take_keyword("END_VAR")
        self.take_op(";")

    def _resource(self) -> ResourceDecl:
        start = self.advance()
        name = self.expect_name("the name of the resource")
        if self.token.kind == "id" and self.token.key == "ON":
            self.advance()
            self.expect_name("the type of the resource")
        resource = ResourceDecl(start.at, start.end, name.text, [], [], [])
        while not self.at_keyword("END_RESOURCE"):
            if self.at_keyword("VAR_GLOBAL"):
                resource.blocks.append(self._var_block())
            elif not self._resource_part(resource):
                raise self.fail("TASK, PROGRAM, VAR_GLOBAL or END_RESOURCE")
        resource.end = self.advance().end
        self.take_op(";")
        return resource

    def _resource_part(self, resource: ResourceDecl) -> bool:
        start = self.position
        task = self.token.kind == "id" and self.token.key == "TASK"
        if not task and not self.at_keyword("PROGRAM"):
            return False
        try:
            if task:
                resource.tasks.append(self._task())
            else:
                resource.instances.append(self._instance())
        except SyntaxFault:
            self.skip_to("END_RESOURCE", "END_CONFIGURATION", "PROGRAM", "RESOURCE")
            self.skip_names(start)
        return True

    def _task(self) -> TaskDecl:
        self.advance()
        name = self.expect_name("the name of the task")
        parts: dict[str, Expr] = {}
        if self.take_op("("):
            while not self.at_op(")"):
                key = self.expect_name("INTERVAL, PRIORITY or SINGLE")
                if key.key not in ("INTERVAL", "PRIORITY", "SINGLE"):
                    self.note(
                        "ST1016",
                        f"a task has no {key.text}",
                        key.at,
                        key.end,
                        "a task has INTERVAL, PRIORITY and SINGLE",
                    )
                self.expect_op(":=")
                parts[key.key] = self.expression()
                if not self.take_op(","):
                    break
            self.expect_op(")")
        self.semicolon()
        return TaskDecl(
            name.at, name.end, name.text, parts.get("INTERVAL"), parts.get("PRIORITY"), parts.get("SINGLE")
        )

    def _instance(self) -> InstanceDecl:
        self.advance()
        if self.at_keyword("RETAIN", "NON_RETAIN"):
            self.advance()
        name = self.expect_name("the name of the program instance")
        task, task_at = "", 0
        if self.take_keyword("WITH"):
            token = self.expect_name("the name of a task")
            task, task_at = token.text, token.at
        self.expect_op(":")
        type_name = self.qualified_name("the name of a program")
        arguments = self.arguments() if self.at_op("(") else []
        self.semicolon()
        return InstanceDecl(
            name.at, name.end, name.text, task, task_at, type_name.text, type_name.at, arguments
        )
