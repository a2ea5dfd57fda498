"""Configurations: resources, tasks and program instances.

Source: IEC 61131-3:2013, 6.8.
"""

from __future__ import annotations

from softplc.parser.cursor import SyntaxFault
from softplc.parser.pous import Pous
from softplc.syntax import (
    AccessDecl,
    BlockTask,
    ConfigurationDecl,
    Expr,
    InstanceDecl,
    ResourceDecl,
    SettingDecl,
    TaskDecl,
    VarBlock,
)


class Configurations(Pous):
    """The part of the parser that reads configurations."""

    def _configuration(self) -> ConfigurationDecl:
        start = self.advance()
        name = self.expect_name("the name of the configuration")
        blocks: list[VarBlock] = []
        resources: list[ResourceDecl] = []
        access: list[AccessDecl] = []
        settings: list[SettingDecl] = []
        loose = ResourceDecl(start.at, start.end, "", [], [], [])
        while not self.at_keyword("END_CONFIGURATION"):
            if self.at_keyword("VAR_GLOBAL"):
                blocks.append(self._var_block())
            elif self.at_keyword("VAR_ACCESS"):
                self._entries(lambda: access.append(self._access()))
            elif self.at_keyword("VAR_CONFIG"):
                self._entries(lambda: settings.append(self._setting()))
            elif self.at_keyword("RESOURCE"):
                resources.append(self._resource())
            elif not self._resource_part(loose):
                raise self.fail(
                    "RESOURCE, TASK, PROGRAM, VAR_GLOBAL, VAR_ACCESS, VAR_CONFIG or END_CONFIGURATION"
                )
        end = self.advance().end
        self.take_op(";")
        if loose.tasks or loose.instances:
            resources.append(loose)
        return ConfigurationDecl(start.at, end, name.text, blocks, resources, access, settings, self.space)

    def _settings(self) -> ConfigurationDecl:
        """Read VAR_CONFIG outside of a CONFIGURATION, as profile codesys has it: one without a name."""
        start = self.token
        settings: list[SettingDecl] = []
        self._entries(lambda: settings.append(self._setting()))
        return ConfigurationDecl(start.at, start.end, "", [], [], [], settings, self.space)

    def _setting(self) -> SettingDecl:
        path = self._path()
        address, address_at = "", 0
        if self.take_keyword("AT"):
            if self.token.kind != "direct":
                raise self.fail("an address", "addresses look like %IX0.0, %QW4 or %MD8")
            address, address_at = self.token.text, self.token.at
            self.advance()
        self.expect_op(":")
        spec = self.spec()
        init = self.initialiser() if self.take_op(":=") else None
        self.semicolon()
        return SettingDecl(path[0].at, path[-1].end, path, address, address_at, spec, init)

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
        retain = self.at_keyword("RETAIN")
        if self.at_keyword("RETAIN", "NON_RETAIN"):
            self.advance()
        name = self.expect_name("the name of the program instance")
        task, task_at = self._with_task()
        self.expect_op(":")
        type_name = self.qualified_name("the name of a program")
        instance = InstanceDecl(
            name.at, name.end, name.text, task, task_at, type_name.text, type_name.at, [], [], retain
        )
        if self.take_op("("):
            while not self.at_op(")"):
                if self.token.kind == "id" and self.peek().key == "WITH":
                    block = self.advance()
                    task, task_at = self._with_task()
                    instance.blocks.append(BlockTask(block.at, block.end, block.text, task, task_at))
                else:
                    instance.arguments.append(self.argument())
                if not self.take_op(","):
                    break
            self.expect_op(")")
        self.semicolon()
        return instance

    def _with_task(self) -> tuple[str, int]:
        if not self.take_keyword("WITH"):
            return "", 0
        token = self.expect_name("the name of a task")
        return token.text, token.at
