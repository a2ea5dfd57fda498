"""A client of the Debug Adapter Protocol, small and honest: it asks a real process over real streams."""

import json
import queue
import subprocess
import sys
import threading
from pathlib import Path

PATIENCE_S = 60


class RefusedError(Exception):
    """The adapter answered that it will not."""


class Client:
    """Requests wait for their response; events are kept until somebody asks for them."""

    def __init__(self, folder, source=None, sink=None):
        self.process = None
        if source is None:
            command = [sys.executable, "-m", "runtime.cli", "dap"]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder)
            source, sink = self.process.stdout, self.process.stdin
        self.folder = Path(folder)
        self._source, self._sink = source, sink
        self._seq = 0
        self._responses, self._events = queue.Queue(), queue.Queue()
        self._kept = []
        self.outputs = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # The wire ------------------------------------------------------------------------------------

    def _read(self):
        try:
            while self._take():
                pass
        except ConnectionError:  # the test went first
            pass
        self._responses.put(None)
        self._events.put(None)

    def _take(self):
        length = None
        while (line := self._source.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            if name == "Content-Length":
                length = int(value)
        if line != b"":
            message = json.loads(self._source.read(length))
            if message["type"] == "response":
                self._responses.put(message)
            elif message["event"] == "output":
                self.outputs.append((message["body"]["category"], message["body"]["output"]))
                self._events.put(message)
            else:
                self._events.put(message)
        return line != b""

    def send_raw(self, data):
        self._sink.write(data)
        self._sink.flush()

    def send(self, message):
        body = json.dumps(message).encode()
        self.send_raw(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def response(self):
        """Return the next response, None at the end of the stream."""
        return self._responses.get(timeout=PATIENCE_S)

    # Requests and events -------------------------------------------------------------------------

    def ask(self, command, **arguments):
        """Send a request and return the body of its response."""
        self._seq += 1
        self.send({"seq": self._seq, "type": "request", "command": command, "arguments": arguments})
        response = self.response()
        assert response is not None, "the adapter is gone"
        assert (response["request_seq"], response["command"]) == (self._seq, command)
        if not response["success"]:
            raise RefusedError(response["message"])
        return response.get("body", {})

    def event(self, *names):
        """Return the next event of one of these names; others are kept."""
        for number, each in enumerate(self._kept):
            if each["event"] in names:
                return self._kept.pop(number)
        while True:
            message = self._events.get(timeout=PATIENCE_S)
            assert message is not None, "the adapter is gone"
            if message["event"] in names:
                return message
            self._kept.append(message)

    def stopped(self):
        """Wait until the program stands still; return what the adapter says of it."""
        message = self.event("stopped", "terminated")
        assert message["event"] == "stopped", f"the program has ended: {self.outputs}"
        return message["body"]

    # What sessions do ----------------------------------------------------------------------------

    def launch(self, program, breakpoints=(), **more):
        """Start a program with breakpoints (file, line or arguments); return their states."""
        self.ask("initialize", adapterID="ironworks-st", linesStartAt1=True, columnsStartAt1=True)
        self.ask("launch", program=program, **{"speed": 0, **more})
        self.event("initialized")
        states = []
        by_file = {}
        for file, point in breakpoints:
            by_file.setdefault(file, []).append(point if isinstance(point, dict) else {"line": point})
        for file, points in by_file.items():
            states += self.set_breakpoints(file, points)
        self.ask("setExceptionBreakpoints", filters=["fault"])
        self.ask("configurationDone")
        return states

    def set_breakpoints(self, file, points):
        points = [each if isinstance(each, dict) else {"line": each} for each in points]
        source = {"path": str(self.folder / file)}
        return self.ask("setBreakpoints", source=source, breakpoints=points)["breakpoints"]

    def go(self, command="continue", **arguments):
        """Go on and wait for the next stop."""
        self.ask(command, threadId=1, **arguments)
        return self.stopped()

    def stack(self):
        """Return names and lines of the frames, innermost first."""
        return [(each["name"], each["line"]) for each in self.frames()]

    def frames(self):
        return self.ask("stackTrace", threadId=1)["stackFrames"]

    def line(self):
        return self.frames()[0]["line"]

    def scopes(self, frame=0):
        found = self.ask("scopes", frameId=self.frames()[frame]["id"])["scopes"]
        return {each["name"]: each["variablesReference"] for each in found}

    def variables(self, reference, **more):
        found = self.ask("variables", variablesReference=reference, **more)["variables"]
        return {each["name"]: each for each in found}

    def values(self, scope, frame=0):
        found = self.variables(self.scopes(frame)[scope])
        return {name: each["value"] for name, each in found.items()}

    def evaluate(self, expression, frame=0, **more):
        frame_id = self.frames()[frame]["id"]
        return self.ask("evaluate", expression=expression, frameId=frame_id, **more)["result"]

    def join(self):
        """Wait for what reads."""
        self._reader.join(PATIENCE_S)

    def close(self):
        """End the session, and the process."""
        if self.process is None:
            return
        try:
            if self.process.poll() is None:
                self.process.stdin.close()
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.join()
            self.process.stdout.close()
            self.process.stderr.close()
