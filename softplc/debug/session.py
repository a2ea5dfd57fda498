"""Session: the requests of one client, from `initialize` to `disconnect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from runtime.errors import PlantError
from softplc.debug import protocol as p
from softplc.debug.dispatch import Dispatch, Reply
from softplc.debug.inspector import Inspector
from softplc.debug.machine import Machine, Plan, Stop
from softplc.debug.opening import opened
from softplc.debug.operands import Operands
from softplc.debug.points import Points, Resolver, Wish, locations
from softplc.debug.protocol import Channel
from softplc.diagnostics import CompileError

THREAD = 1
_REASONS = {
    "entry": "Stopped at the first statement",
    "step": "Stopped after a step",
    "pause": "Paused",
    "breakpoint": "Stopped at a breakpoint",
    "function breakpoint": "Stopped where the unit begins",
    "exception": "Stopped by a fault",
}


class Session(Dispatch):
    """Serves one client; `home` is what relative paths count from."""

    def __init__(self, channel: Channel, home: Path) -> None:
        super().__init__(channel)
        self._home = home
        self._client = p.Initialize()
        self._launch: p.Launch | p.Attach | None = None
        self._machine: Machine | None = None
        self._inspector: Inspector | None = None
        self._points = Points()
        self._stops_at_faults = True
        self._begun = False
        self._restarting = False
        self._operands: list[str] = []

    def run(self) -> None:
        """Answer until the client goes, and end its program."""
        try:
            super().run()
        finally:
            self._restarting = True  # nobody is told any more
            if self._machine is not None:
                self._machine.end()

    # What the machine tells ----------------------------------------------------------------------

    def stopped(self, stop: Stop) -> None:
        """Tell that the program stands still; in the machine's thread."""
        self._operands = []
        machine, inspector = self._now()
        inspector.forget()
        body: dict[str, Any] = {
            "reason": stop.reason,
            "description": _REASONS.get(stop.reason, stop.reason),
            "threadId": THREAD,
            "allThreadsStopped": True,
        }
        if stop.hits:
            body["hitBreakpointIds"] = list(stop.hits)
        text = stop.text
        if machine.fault is not None and inspector.frames:
            texts = machine.program.stoppable.texts
            operands = Operands(texts, machine.evaluator, machine.values)
            self._operands = operands.of(inspector.frames[0], machine.fault.fault, machine.fault.line)
            text = "; ".join([f"{machine.fault.cause}", *self._operands])
        if text:
            body["text"] = text
        self.channel.event("stopped", body)

    def ended(self) -> None:
        if not self._restarting:
            self.channel.event("terminated")
            self.channel.event("exited", {"exitCode": 0})

    # Life ----------------------------------------------------------------------------------------

    def _now(self) -> tuple[Machine, Inspector]:
        if self._machine is None or self._inspector is None:
            raise PlantError("no program is being debugged", "send launch first")
        return self._machine, self._inspector

    def _standing(self) -> tuple[Machine, Inspector]:
        machine, inspector = self._now()
        if not machine.is_standing:
            raise PlantError("the program is running", "pause it first")
        return machine, inspector

    def initialize(self, asked: p.Initialize) -> Reply:
        if asked.path_format not in ("path", "uri"):
            raise PlantError(f"paths cannot be {asked.path_format!r}", "ask for path or uri")
        self._client = asked
        return Reply(p.CAPABILITIES)

    def launch(self, asked: p.Launch) -> Reply:
        if self._launch is not None:
            raise PlantError("a program is being debugged already", "restart it, or end this session")
        self._open(asked)
        self._launch = asked
        return Reply({}, lambda: self.channel.event("initialized"))

    def _open(self, asked: p.Launch | p.Attach) -> None:
        """Compile what is asked for, and make a machine of it; nothing runs yet."""
        try:
            self._use(opened(asked, self._home, self))
        except CompileError as exc:
            for each in exc.diagnostics:
                self.said(f"{each.render()}\n", "stderr")
            first = exc.diagnostics[0]
            text = f"the program has errors: {first.file}:{first.line}: {first.message}"
            raise PlantError(text, first.remedy) from exc

    def _use(self, machine: Machine) -> None:
        self._machine = machine
        self._inspector = Inspector(machine, names_uris=self._client.path_format == "uri")
        machine.stops_at_faults = self._stops_at_faults

    def attach(self, asked: p.Attach) -> Reply:
        if self._launch is not None:
            raise PlantError("a program is being debugged already", "restart it, or end this session")
        self._open(asked)
        self._launch = asked
        return Reply({}, self._attached)

    def _attached(self) -> None:
        self.channel.event("capabilities", {"capabilities": {"supportsStepBack": True}})
        self.channel.event("initialized")

    def configured(self) -> Reply:
        machine, _ = self._now()
        if self._begun:
            raise PlantError("the program runs already")
        self._begun = True
        return Reply({}, lambda: self._begin(machine))

    def _begin(self, machine: Machine) -> None:
        launch = self._launch or p.Launch()
        machine.stops_at_faults = self._stops_at_faults and not launch.no_debug
        self.channel.event("thread", {"reason": "started", "threadId": THREAD})
        machine.begin(stops_first=launch.stop_on_entry and not launch.no_debug)

    def restart(self, asked: p.Restart) -> Reply:
        machine, _ = self._now()
        if self._launch is None or not self._begun:
            raise PlantError("nothing was started yet")
        kind = type(self._launch)
        try:
            launch = msgspec.convert(asked.arguments, kind) if asked.arguments else self._launch
        except msgspec.ValidationError as exc:
            raise PlantError(f"restart: {exc}", "see the Debug Adapter Protocol") from exc
        self._restarting = True
        machine.end()
        self._restarting = False
        try:
            self._open(launch)
        except PlantError:
            self.channel.event("terminated")
            raise
        self._launch = launch
        wishes = self._points.all
        before = [each.told for each in wishes]
        self._resolver().resolve(wishes)
        for wish, told in zip(wishes, before, strict=True):
            if wish.told != told:
                self.channel.event("breakpoint", {"reason": "changed", "breakpoint": self._point(wish)})
        started = self._now()[0]
        self._arm()
        return Reply({}, lambda: self._begin(started))

    def terminate(self) -> Reply:
        machine, _ = self._now()
        return Reply({}, machine.end)

    def disconnect(self) -> Reply:
        self.is_over = True
        return Reply({})

    # Breakpoints ---------------------------------------------------------------------------------

    def _resolver(self) -> Resolver:
        machine, _ = self._now()
        return Resolver(machine.program, machine.evaluator)

    def _resolved(self, wishes: list[Wish]) -> Reply:
        machine, _ = self._now()
        if self._launch is not None and not self._launch.no_debug:
            resolver = self._resolver()
            machine.do(lambda: resolver.resolve(wishes))
            self._arm()
        return Reply({"breakpoints": [self._point(each) for each in wishes]})

    def _arm(self) -> None:
        machine, _ = self._now()
        machine.do(lambda: machine.set_breakpoints(self._points.breakpoints))

    def _point(self, wish: Wish) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": wish.number, "verified": wish.breakpoint is not None}
        if wish.problem:
            shown["message"] = wish.problem
        if wish.place is not None:
            file, line, column = wish.place
            shown |= {"line": self._line(line), "column": self._column(column)}
            shown["source"] = self._now()[1].source(file)
        return shown

    def set_breakpoints(self, asked: p.SetBreakpoints) -> Reply:
        path = self._path(asked.source)
        ours = [
            msgspec.structs.replace(
                each,
                line=each.line + (not self._client.lines_start_at1),
                column=each.column + (not self._client.columns_start_at1) if each.column else 0,
            )
            for each in asked.breakpoints
        ]
        return self._resolved(self._points.set_in(path, ours))

    def set_function_breakpoints(self, asked: p.SetFunctionBreakpoints) -> Reply:
        return self._resolved(self._points.set_functions(asked.breakpoints))

    def set_exception_breakpoints(self, asked: p.SetExceptionBreakpoints) -> Reply:
        self._stops_at_faults = "fault" in asked.filters
        if self._machine is not None:
            self._machine.stops_at_faults = self._stops_at_faults
        return Reply({})

    def breakpoint_locations(self, asked: p.BreakpointLocations) -> Reply:
        machine, _ = self._now()
        name = machine.program.name_of(self._path(asked.source))
        first = asked.line + (not self._client.lines_start_at1)
        last = max(asked.end_line + (not self._client.lines_start_at1), first)
        places = locations(machine.program.every_place(name), first, last) if name is not None else []
        found = [{"line": self._line(each.line), "column": self._column(each.column)} for each in places]
        return Reply({"breakpoints": found})

    # Going on ------------------------------------------------------------------------------------

    def _goes(self, plan: Plan, asked: p.Step | None = None, scans: int = 0) -> Reply:
        machine, _ = self._standing()
        by_line = asked is None or asked.granularity == "line"
        body = {"allThreadsContinued": True} if plan is Plan.GO else {}
        return Reply(body, lambda: machine.go(plan, scans=scans, by_line=by_line))

    def go(self) -> Reply:
        return self._goes(Plan.GO)

    def over(self, asked: p.Step) -> Reply:
        return self._goes(Plan.OVER, asked)

    def into(self, asked: p.Step) -> Reply:
        return self._goes(Plan.INTO, asked)

    def out(self, asked: p.Step) -> Reply:
        return self._goes(Plan.OUT, asked)

    def step_back(self) -> Reply:
        return self._goes_back(to_breakpoint=False)

    def reverse(self) -> Reply:
        return self._goes_back(to_breakpoint=True)

    def _goes_back(self, *, to_breakpoint: bool) -> Reply:
        from softplc.debug.rewinding import Rewinding

        machine, _ = self._standing()
        if not isinstance(machine, Rewinding):
            raise PlantError("a simulation does not go back", "attach to a record, or restart it")
        return Reply({}, lambda: machine.go_back(to_breakpoint=to_breakpoint))

    def next_scan(self, asked: p.NextScan) -> Reply:
        if not 0 < asked.scans <= 1_000_000_000:
            raise PlantError(f"it cannot go on for {asked.scans} scans", "give a number from 1")
        return self._goes(Plan.SCAN, scans=asked.scans)

    def pause(self) -> Reply:
        machine, _ = self._now()
        if not self._begun:
            raise PlantError("nothing was started yet", "send configurationDone")
        return Reply({}, machine.pause)

    # Looking -------------------------------------------------------------------------------------

    def threads(self) -> Reply:
        return Reply({"threads": [{"id": THREAD, "name": "PLC"}]})

    def stack_trace(self, asked: p.StackTrace) -> Reply:
        machine, inspector = self._standing()
        first = int(self._client.lines_start_at1), int(self._client.columns_start_at1)
        return Reply(machine.do(lambda: inspector.stack_trace(asked, first)))

    def scopes(self, asked: p.FrameArguments) -> Reply:
        machine, inspector = self._standing()
        return Reply(machine.do(lambda: inspector.scopes(asked.frame_id)))

    def variables(self, asked: p.Variables) -> Reply:
        machine, inspector = self._standing()
        return Reply(machine.do(lambda: inspector.variables(asked)))

    def set_variable(self, asked: p.SetVariable) -> Reply:
        machine, inspector = self._standing()
        return Reply(machine.do(lambda: inspector.set_variable(asked)))

    def evaluate(self, asked: p.Evaluate) -> Reply:
        machine, inspector = self._now()
        return Reply(machine.do(lambda: inspector.evaluate(asked)))

    def set_expression(self, asked: p.SetExpression) -> Reply:
        machine, inspector = self._now()
        return Reply(machine.do(lambda: inspector.set_expression(asked)))

    def completions(self, asked: p.Completions) -> Reply:
        machine, inspector = self._now()
        first = int(self._client.columns_start_at1)
        return Reply(machine.do(lambda: inspector.completions(asked, first)))

    def exception_info(self) -> Reply:
        machine, _ = self._standing()
        fault = machine.fault
        if fault is None:
            raise PlantError("it was no fault that stopped the program")
        text = "\n".join(
            [f"{fault.file}:{fault.line}: task {fault.task} stopped: {fault.cause}", *self._operands]
        )
        return Reply({"exceptionId": fault.cause, "description": text, "breakMode": "always"})

    def loaded_sources(self) -> Reply:
        _, inspector = self._now()
        program = self._now()[0].program
        return Reply({"sources": [inspector.source(name) for name in program.sources]})

    def source(self, asked: p.SourceText) -> Reply:
        files = self._now()[0].program.stoppable.texts.files
        number = asked.source_reference or (asked.source.source_reference if asked.source else 0)
        if not 0 < number <= len(files):
            raise PlantError(f"there is no source {number}")
        return Reply({"content": files[number - 1].shown})

    # Places --------------------------------------------------------------------------------------

    def _path(self, source: p.Source) -> str:
        if not source.path:
            raise PlantError("a source without path", "give its path")
        if self._client.path_format == "uri":
            return unquote(urlsplit(source.path).path)
        return source.path

    def _line(self, line: int) -> int:
        return line if self._client.lines_start_at1 else line - 1

    def _column(self, column: int) -> int:
        return column if self._client.columns_start_at1 else column - 1


Session.handlers = {
    "initialize": (p.Initialize, Session.initialize),
    "launch": (p.Launch, Session.launch),
    "attach": (p.Attach, Session.attach),
    "configurationDone": (None, Session.configured),
    "restart": (p.Restart, Session.restart),
    "terminate": (None, Session.terminate),
    "disconnect": (None, Session.disconnect),
    "setBreakpoints": (p.SetBreakpoints, Session.set_breakpoints),
    "setFunctionBreakpoints": (p.SetFunctionBreakpoints, Session.set_function_breakpoints),
    "setExceptionBreakpoints": (p.SetExceptionBreakpoints, Session.set_exception_breakpoints),
    "breakpointLocations": (p.BreakpointLocations, Session.breakpoint_locations),
    "continue": (None, Session.go),
    "next": (p.Step, Session.over),
    "stepIn": (p.Step, Session.into),
    "stepOut": (p.Step, Session.out),
    "stepBack": (None, Session.step_back),
    "reverseContinue": (None, Session.reverse),
    "nextScan": (p.NextScan, Session.next_scan),
    "pause": (None, Session.pause),
    "threads": (None, Session.threads),
    "stackTrace": (p.StackTrace, Session.stack_trace),
    "scopes": (p.FrameArguments, Session.scopes),
    "variables": (p.Variables, Session.variables),
    "setVariable": (p.SetVariable, Session.set_variable),
    "evaluate": (p.Evaluate, Session.evaluate),
    "setExpression": (p.SetExpression, Session.set_expression),
    "completions": (p.Completions, Session.completions),
    "exceptionInfo": (None, Session.exception_info),
    "loadedSources": (None, Session.loaded_sources),
    "source": (p.SourceText, Session.source),
}
