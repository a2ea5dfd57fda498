"""`ironworks lsp` as editors use it: a real process, asked by a real client over its standard streams."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.client import LanguageClient
from pygls.workspace import Workspace

from runtime.client import PlantClient
from runtime.endpoint import find
from softplc.lsp.server import PAUSE_S, Server

PATIENCE_S = 120
PLANT = """plant: tank
root: site/area/line
tags: tags.csv
api: {port: null}
plc:
  sources: ["plc/*.st"]
"""
TAGS = """path,type,unit,unit_text,low,high,description,access,source,variable,initial
tank/setpoint,REAL,%,%,0,100,Wanted level,rw,operator,wanted_pct,42.5
tank/limit,REAL,%,%,0,100,Limit,r,plc,Main.limits.high,
pump/run,BOOL,,,,,Pump,r,plc,pump.run,
"""
TYPES = """(* What a pump has. *)
TYPE
    Pump : STRUCT
        run   : BOOL;  (* command *)
        state : State;
    END_STRUCT;
    State : (Stopped, Started := 5);
    Limits : STRUCT high : REAL; END_STRUCT;
END_TYPE
"""
MAIN = """// Keeps a tank full.
FUNCTION_BLOCK Doser
VAR_INPUT
    level : REAL;  // in %
    patience : TIME := T#2s;
END_VAR
VAR_OUTPUT
    full : BOOL;
END_VAR
VAR
    late : TON;
END_VAR

late(IN := level > 90.0, PT := patience);
full := late.Q;
END_FUNCTION_BLOCK

FUNCTION Twice : REAL
VAR_INPUT
    value : REAL;
END_VAR

Twice := value * 2.0;
END_FUNCTION

PROGRAM Control
VAR_EXTERNAL
    wanted_pct : REAL;
    pump : Pump;
END_VAR
VAR
    limits : Limits;
    doser : Doser;
END_VAR

(* Ümläute 𝄞 *) limits.high := Twice(value := wanted_pct);
pump.run := limits.high > 50.0;
doser(level := wanted_pct);
IF doser.full THEN
    pump.state := Started;
END_IF;
END_PROGRAM

CONFIGURATION Plant
    VAR_GLOBAL
        wanted_pct : REAL;  // what the operator wants
        pump : Pump;
    END_VAR
    RESOURCE Gateway ON Native
        TASK Fast (INTERVAL := T#20ms, PRIORITY := 1);
        PROGRAM Main WITH Fast : Control;
    END_RESOURCE
END_CONFIGURATION
"""


def units(text):
    """Count as the protocol does: UTF-16."""
    return len(text.encode("utf-16-le")) // 2


class Editor:
    """A client with documents."""

    def __init__(self, folder):
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.client = LanguageClient("test", "1")
        self.diagnostics, self.messages, self.texts, self.version = {}, [], {}, 0
        self.changed = asyncio.Event()
        self.registered = ()

        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params):
            self.diagnostics[params.uri] = params.diagnostics
            self.changed.set()

        @self.client.feature(types.WINDOW_SHOW_MESSAGE)
        def message(params):
            self.messages.append(params.message)

        @self.client.feature(types.CLIENT_REGISTER_CAPABILITY)
        def registered(params):
            self.registered = params.registrations
            self.changed.set()

        @self.client.feature(types.WORKSPACE_INLAY_HINT_REFRESH)
        def refreshed(_):
            self.changed.set()

    def run(self, question):
        return self.loop.run_until_complete(asyncio.wait_for(question, PATIENCE_S))

    def ask(self, method, params):
        return self.run(getattr(self.client, f"{method}_async")(params))

    def start(self):
        async def started():
            await self.client.start_io(sys.executable, "-m", "runtime.cli", "lsp")
            hints = types.InlayHintWorkspaceClientCapabilities(refresh_support=True)
            watches = types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True)
            abilities = types.ClientCapabilities(
                types.WorkspaceClientCapabilities(inlay_hint=hints, did_change_watched_files=watches)
            )
            answer = await self.client.initialize_async(types.InitializeParams(abilities))
            self.client.initialized(types.InitializedParams())
            return answer

        return self.run(started())

    def stop(self):
        async def stopped():
            await self.client.shutdown_async(None)
            self.client.exit(None)
            await self.client.stop()

        self.run(stopped())
        self.loop.close()

    def uri(self, name):
        return (self.folder / name).as_uri()

    def here(self, name):
        return types.TextDocumentIdentifier(self.uri(name))

    def open(self, name, text=None):
        text = (self.folder / name).read_text(encoding="utf-8") if text is None else text
        self.texts[name] = text
        item = types.TextDocumentItem(self.uri(name), "iecst", self.version, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def write(self, name, text):
        self.version += 1
        self.texts[name] = text
        document = types.VersionedTextDocumentIdentifier(self.version, self.uri(name))
        change = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    def told(self, change, name):
        event = types.FileEvent(self.uri(name), change)
        self.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))

    def until(self, holds):
        async def waited():
            while not holds():
                self.changed.clear()
                await self.changed.wait()

        self.run(waited())

    def position(self, name, before, behind=""):
        """Return the place between two pieces of text."""
        text = self.texts[name]
        at = text.index(before + behind) + len(before)
        start = text.rfind("\n", 0, at) + 1
        return types.Position(text.count("\n", 0, at), units(text[start:at]))

    def at(self, kind, name, before, behind=""):
        return kind(self.here(name), self.position(name, before, behind))

    def hover(self, name, before, behind=""):
        found = self.ask("text_document_hover", self.at(types.HoverParams, name, before, behind))
        return found.contents.value if found else None

    def labels(self, name, before, behind=""):
        found = self.ask("text_document_completion", self.at(types.CompletionParams, name, before, behind))
        return {each.label: each for each in found}

    def place(self, location):
        """Return a location as FILE:LINE:TEXT."""
        path = Path(location.uri.removeprefix("file://"))
        line = path.read_text(encoding="utf-8").splitlines()[location.range.start.line]
        wide = line.encode("utf-16-le")[location.range.start.character * 2 : location.range.end.character * 2]
        return f"{path.name}:{location.range.start.line + 1}:{wide.decode('utf-16-le')}"

    def edited(self, edit):
        """Return the texts of this editor after an edit of the workspace."""
        texts = dict(self.texts)
        for uri, edits in edit.changes.items():
            name = str(Path(uri.removeprefix("file://")).relative_to(self.folder))
            lines = (texts.get(name) or (self.folder / name).read_text(encoding="utf-8")).split("\n")
            for each in sorted(edits, key=lambda one: (one.range.start.line, one.range.start.character))[
                ::-1
            ]:
                assert each.range.start.line == each.range.end.line
                wide = lines[each.range.start.line].encode("utf-16-le")
                new = each.new_text.encode("utf-16-le")
                start, end = each.range.start.character * 2, each.range.end.character * 2
                lines[each.range.start.line] = (wide[:start] + new + wide[end:]).decode("utf-16-le")
            texts[name] = "\n".join(lines)
        return texts


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plant")
    (folder / "plc").mkdir()
    (folder / "plant.yaml").write_text(PLANT, encoding="utf-8")
    (folder / "tags.csv").write_text(TAGS, encoding="utf-8")
    (folder / "plc" / "types.st").write_text(TYPES, encoding="utf-8")
    (folder / "plc" / "main.st").write_text(MAIN, encoding="utf-8")
    home = tempfile.mkdtemp(prefix="iw")  # short: a socket's path is limited
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", home)
        patch.delenv("IRONWORKS_PLANT", raising=False)
        found = Editor(folder)
        answer = found.start()
        assert answer.server_info.name == "ironworks"
        # by places in lines pygls would find other places than the editor behind a form feed or U+2028
        assert answer.capabilities.text_document_sync.change is types.TextDocumentSyncKind.Full
        found.open("plc/main.st")
        yield found
        found.stop()
    shutil.rmtree(home)


@pytest.fixture(autouse=True)
def _as_it_was(editor):
    yield
    if editor.texts["plc/main.st"] != MAIN:
        editor.write("plc/main.st", MAIN)


def test_diagnostics_follow_the_text_and_go_again(editor):
    editor.until(lambda: editor.diagnostics.get(editor.uri("plc/main.st")) == ())
    editor.write("plc/main.st", MAIN.replace("limits.high > 50.0", "limits.hihg > 50.0"))
    editor.until(lambda: editor.diagnostics[editor.uri("plc/main.st")])
    (found,) = editor.diagnostics[editor.uri("plc/main.st")]
    assert (found.code, found.source, found.severity) == (
        "ST2004",
        "ironworks",
        types.DiagnosticSeverity.Error,
    )
    assert "did you mean high?" in found.message
    assert editor.texts["plc/main.st"].splitlines()[found.range.start.line].startswith("pump.run")
    editor.write("plc/main.st", MAIN)
    editor.until(lambda: not editor.diagnostics[editor.uri("plc/main.st")])


def test_an_error_in_one_file_is_told_in_the_other(editor):
    editor.open("plc/types.st")
    editor.write("plc/types.st", TYPES.replace("high : REAL", "low : REAL"))
    editor.until(lambda: editor.diagnostics.get(editor.uri("plc/main.st")))
    closed = types.DidCloseTextDocumentParams(editor.here("plc/types.st"))
    editor.client.text_document_did_close(closed)  # what is on disk counts again
    del editor.texts["plc/types.st"]
    editor.until(lambda: not editor.diagnostics[editor.uri("plc/main.st")])


@pytest.mark.parametrize(
    ("before", "behind", "expected"),
    [
        (
            "FUNCTION_BLOCK Do",
            "ser",
            ["FUNCTION_BLOCK Doser", "VAR_INPUT level : REAL", "Keeps a tank full."],
        ),
        ("late(IN := lev", "el", ["VAR_INPUT level : REAL", "in `Doser`", "in %"]),
        ("limits.hi", "gh := Tw", ["high : REAL"]),
        (":= Tw", "ice", ["FUNCTION Twice : REAL", "VAR_INPUT value : REAL"]),
        ("pump.state := Sta", "rted", ["State#Started = 5"]),
        ("late : TO", "N", ["FUNCTION_BLOCK TON", "VAR_INPUT PT : TIME", "On-delay timer"]),
        ("doser(level := wan", "ted", ["VAR_GLOBAL wanted_pct : REAL", "what the operator wants"]),
    ],
)
def test_hover(editor, before, behind, expected):
    text = editor.hover("plc/main.st", before, behind)
    assert [each for each in expected if each not in text] == []


def test_hover_on_a_block_of_the_process_library(editor):
    editor.write("plc/main.st", MAIN.replace("late : TON;", "late : TON;  heat : PID;"))
    text = editor.hover("plc/main.st", "heat : PI", "D")
    wanted = ["FUNCTION_BLOCK PID", "VAR_INPUT KP : REAL := 1.0", "VAR_OUTPUT OUT : REAL", "PID controller: "]
    assert [each for each in [*wanted, "\n\nBumpless: ", "\n\nExample: "] if each not in text] == []


def test_hover_says_nothing_where_there_is_nothing(editor):
    assert editor.hover("plc/main.st", "// Keeps", " a tank") is None
    assert editor.hover("plc/main.st", "END_FUNCTION_BL", "OCK") is None


@pytest.mark.parametrize(
    ("before", "behind", "place"),
    [
        ("pump.ru", "n", "types.st:4:run"),
        ("pump : Pu", "mp", "types.st:3:Pump"),
        ("pump.state := Sta", "rted", "types.st:7:Started"),
        ("doser(lev", "el", "main.st:4:level"),
        ("limits.high := Twice(value := wan", "ted", "main.st:46:wanted_pct"),
        ("WITH Fast : Con", "trol", "main.st:26:Control"),
        ("WITH Fa", "st", "main.st:50:Fast"),
        ("late.", "Q", "TON.st:4:Q"),
    ],
)
def test_definition(editor, before, behind, place):
    params = editor.at(types.DefinitionParams, "plc/main.st", before, behind)
    assert editor.place(editor.ask("text_document_definition", params)) == place


def test_references_over_files(editor):
    here = editor.position("plc/main.st", "pump.ru", "n")
    for declared, count in ((True, 2), (False, 1)):
        params = types.ReferenceParams(types.ReferenceContext(declared), editor.here("plc/main.st"), here)
        places = [editor.place(each) for each in editor.ask("text_document_references", params)]
        assert len(places) == count
        assert any(each.startswith("main.st") for each in places)
        assert ("types.st:4:run" in places) == declared
    params = editor.at(types.DocumentHighlightParams, "plc/main.st", "limits.hi", "gh := ")
    kinds = [each.kind for each in editor.ask("text_document_document_highlight", params)]
    assert len(kinds) == 2


def test_symbols(editor):
    params = types.DocumentSymbolParams(editor.here("plc/main.st"))
    found = editor.ask("text_document_document_symbol", params)
    names = {each.name: [child.name for child in each.children] for each in found}
    assert names["Doser"] == ["level", "patience", "full", "late"]
    assert list(names) == ["Doser", "Twice", "Control", "Plant"]
    found = editor.ask("workspace_symbol", types.WorkspaceSymbolParams("pum"))
    assert {each.name for each in found} == {"Pump", "pump"}


def test_rename_over_files_says_what_else_names_it(editor):
    params = types.RenameParams(
        editor.here("plc/main.st"), editor.position("plc/main.st", "limits.hi", "gh := "), "highest"
    )
    texts = editor.edited(editor.ask("text_document_rename", params))
    assert "𝄞 *) limits.highest := Twice" in texts["plc/main.st"]
    assert "pump.run := limits.highest > 50.0" in texts["plc/main.st"]
    assert "highest : REAL" in texts["plc/types.st"]
    assert texts["plc/main.st"].count("highest") == 2
    assert editor.messages[-1] == "tags.csv:3 names high: write highest there as well"
    function = editor.position("plc/main.st", ":= Tw", "ice")
    params = types.RenameParams(editor.here("plc/main.st"), function, "Double")
    assert editor.edited(editor.ask("text_document_rename", params))["plc/main.st"].count("Double") == 3


@pytest.mark.parametrize(
    ("before", "behind", "name", "why"),
    [
        ("limits : Lim", "its", "Pump", "no member high"),
        ("    limits", " : Limits", "doser", "already declared"),
        ("    limits", " : Limits", "IF", "no name"),
        ("    limits", " : Limits", "a b", "no name"),
        ("late : T", "ON", "Timer", "library"),
        ("FUNCTION Tw", "ice", "ABS2 ", "no name"),
    ],
)
def test_a_rename_that_would_break_is_refused(editor, before, behind, name, why):
    params = types.RenameParams(
        editor.here("plc/main.st"), editor.position("plc/main.st", before, behind), name
    )
    with pytest.raises(JsonRpcInvalidParams, match=why):
        editor.ask("text_document_rename", params)


def test_completion_of_members_while_the_text_is_broken(editor):
    editor.write("plc/main.st", MAIN.replace("pump.run := limits.high > 50.0;", "pump."))
    assert set(editor.labels("plc/main.st", "pump.", "\ndoser")) == {"run", "state"}
    editor.write("plc/main.st", MAIN.replace("IF doser.full THEN", "IF doser."))
    assert set(editor.labels("plc/main.st", "IF doser.", "\n")) == {"level", "patience", "full"}
    broken = MAIN.replace("IF doser.full THEN", "IF doser.full THEN limits.").replace(
        "VAR_EXTERNAL", "VAR_EXT", 1
    )
    editor.write("plc/main.st", broken)
    assert set(editor.labels("plc/main.st", "THEN limits.")) == {"high"}


def test_completion_of_names_types_values_and_parameters(editor):
    editor.write("plc/main.st", MAIN.replace("doser(level := wanted_pct);", "doser("))
    found = editor.labels("plc/main.st", "doser(", "\nIF")
    assert found["level"].insert_text == "level := $0"
    assert {"wanted_pct", "limits", "Twice", "LIMIT", "Started", "NOT"} <= set(found)
    assert found["LIMIT"].insert_text == "LIMIT(${1:MN}, ${2:IN}, ${3:MX})"
    assert found["limits"].sort_text < found["NOT"].sort_text
    editor.write("plc/main.st", MAIN.replace("doser : Doser;", "doser : "))
    types_found = editor.labels("plc/main.st", "doser : ")
    assert {"Doser", "Pump", "TON", "REAL", "ARRAY"} <= set(types_found)
    assert "limits" not in types_found
    editor.write("plc/main.st", MAIN.replace(":= Started", ":= State#"))
    assert set(editor.labels("plc/main.st", "State#")) == {"Stopped", "Started"}
    editor.write("plc/main.st", MAIN.replace("doser(level := wanted_pct);", "(* doser"))
    assert editor.labels("plc/main.st", "(* doser") == {}


def test_signature_help_while_the_text_is_broken(editor):
    editor.write(
        "plc/main.st",
        MAIN.replace("doser(level := wanted_pct);", "doser(level := MAX(1.0, 2.0), patience := "),
    )
    params = editor.at(types.SignatureHelpParams, "plc/main.st", "patience := ", "\nIF")
    found = editor.ask("text_document_signature_help", params)
    (shown,) = found.signatures
    assert shown.label == "doser(level : REAL, patience : TIME, full : BOOL)"
    assert shown.parameters[found.active_parameter].label == "patience : TIME"
    params = editor.at(types.SignatureHelpParams, "plc/main.st", "MAX(1.0, ", "2.0")
    found = editor.ask("text_document_signature_help", params)
    assert found.signatures[0].label.startswith("MAX(IN1 : T")
    assert found.active_parameter == 1


def test_hover_and_definition_fall_back_to_the_last_good_text(editor):
    editor.until(lambda: editor.diagnostics.get(editor.uri("plc/main.st")) == ())
    editor.write("plc/main.st", MAIN.replace("VAR_EXTERNAL\n", "VAR_EXT ERNAL\n"))
    assert "high : REAL" in editor.hover("plc/main.st", "limits.hi", "gh := ")
    params = editor.at(types.DefinitionParams, "plc/main.st", "pump.ru", "n")
    assert editor.place(editor.ask("text_document_definition", params)) == "types.st:4:run"


def test_formatting(editor):
    editor.write("plc/main.st", MAIN.replace("full := late.Q;", "full:=late . Q ;"))
    params = types.DocumentFormattingParams(editor.here("plc/main.st"), types.FormattingOptions(4, True))
    (edit,) = editor.ask("text_document_formatting", params)
    assert "\nfull := late.Q;\n" in edit.new_text
    editor.write("plc/main.st", MAIN.replace("full := late.Q;", "full = late.Q;"))
    assert editor.ask("text_document_formatting", params) == ()


def test_a_code_action_does_what_the_remedy_says(editor):
    editor.write("plc/main.st", MAIN.replace("doser(level := wanted_pct)", "doser(levle := wanted_pct)"))
    here = editor.position("plc/main.st", "doser(lev")
    context = types.CodeActionContext([])
    params = types.CodeActionParams(editor.here("plc/main.st"), types.Range(here, here), context)
    (action,) = editor.ask("text_document_code_action", params)
    assert action.title == "replace levle by level"
    assert editor.edited(action.edit)["plc/main.st"] == MAIN


def test_a_file_of_no_plant_stands_alone(editor, tmp_path):
    path = tmp_path / "alone.st"
    path.write_text("PROGRAM P VAR x : INT; END_VAR y := 1; END_PROGRAM", encoding="utf-8")
    name = os.path.relpath(path, editor.folder)
    item = types.TextDocumentItem(path.as_uri(), "iecst", 1, path.read_text(encoding="utf-8"))
    editor.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
    editor.until(lambda: editor.diagnostics.get(path.as_uri()))
    assert [each.code for each in editor.diagnostics[path.as_uri()]] == ["ST2003"], name


def test_the_editor_is_asked_to_watch_files(editor):
    editor.until(lambda: editor.registered)
    (asked,) = editor.registered
    assert asked.method == types.WORKSPACE_DID_CHANGE_WATCHED_FILES
    found = [each["globPattern"] for each in asked.register_options["watchers"]]
    assert found == ["**/*.st", "**/*.xml", "**/plant.yaml"]


def test_a_new_file_belongs_to_its_plant_once_it_is_saved(editor):
    text = "PROGRAM More VAR l : Limits; END_VAR l.high := 1.0; END_PROGRAM"
    editor.open("plc/new.st", text)
    editor.until(lambda: editor.diagnostics.get(editor.uri("plc/new.st")))
    (editor.folder / "plc" / "new.st").write_text(text, encoding="utf-8")
    editor.client.text_document_did_save(types.DidSaveTextDocumentParams(editor.here("plc/new.st")))
    editor.until(lambda: not editor.diagnostics[editor.uri("plc/new.st")])
    (editor.folder / "plc" / "new.st").unlink()
    editor.client.text_document_did_close(types.DidCloseTextDocumentParams(editor.here("plc/new.st")))


def test_files_that_come_and_go_and_plants_that_change_are_noticed(editor):
    told = editor.told
    more = editor.folder / "plc" / "more.st"
    more.write_text("FUNCTION Twice : REAL Twice := 1.0; END_FUNCTION", encoding="utf-8")
    told(types.FileChangeType.Created, "plc/more.st")
    editor.until(lambda: editor.diagnostics.get(editor.uri("plc/more.st")))
    assert [each.code for each in editor.diagnostics[editor.uri("plc/more.st")]] == ["ST2002"]
    plant = editor.folder / "plant.yaml"
    plant.write_text(PLANT.replace("plc/*.st", "plc/[mt][ay]*.st"), encoding="utf-8")
    told(types.FileChangeType.Changed, "plant.yaml")
    editor.until(lambda: not editor.diagnostics[editor.uri("plc/more.st")])
    plant.write_text(PLANT, encoding="utf-8")
    more.unlink()
    told(types.FileChangeType.Deleted, "plc/more.st")
    assert "high : REAL" in editor.hover("plc/main.st", "limits.hi", "gh := Tw")


def test_what_was_still_to_be_told_when_a_file_came_is_told_once(tmp_path, monkeypatch):
    """It was told of the files as grouped before as well; what only that group told was never taken back."""
    main, broken = tmp_path / "plc" / "main.st", tmp_path / "plc" / "broken.st"
    main.parent.mkdir()
    (tmp_path / "plant.yaml").write_text(PLANT, encoding="utf-8")
    (tmp_path / "tags.csv").write_text(TAGS, encoding="utf-8")
    main.write_text(MAIN, encoding="utf-8")
    server, told = Server(live=False), []
    server.protocol._workspace = Workspace(None)
    monkeypatch.setattr(server, "text_document_publish_diagnostics", told.append)

    def of(file):
        return [each.diagnostics for each in told if each.uri == file.as_uri()]

    async def until(holds):
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110  a timer decides, no event tells
                await asyncio.sleep(0.01)
        await asyncio.sleep(2 * PAUSE_S)

    async def changes():
        server.take(main.as_uri(), MAIN)
        broken.write_text("FUNCTION Thrice : REAL Thrice := ; END_FUNCTION", encoding="utf-8")
        server.regroup()  # within the pause
        await until(lambda: of(broken))
        assert len(of(broken)) == 1
        server.take(main.as_uri(), MAIN.replace("doser.full THEN", "doser.empty THEN"))
        broken.unlink()
        server.regroup()
        await until(lambda: len(of(main)) == 2 and not of(broken)[-1])
        assert len(of(broken)) == 2

    asyncio.run(changes())


def test_values_of_a_running_plant_stand_beside_the_source(editor):
    def hints():
        whole = types.Range(types.Position(0, 0), types.Position(99, 0))
        params = types.InlayHintParams(editor.here("plc/main.st"), whole)
        lines = editor.texts["plc/main.st"].splitlines()
        return {
            lines[each.position.line].strip(): each.label
            for each in editor.ask("text_document_inlay_hint", params)
        }

    def show(value):
        editor.changed.clear()  # before it is asked: a change may be told together with the answer
        while hints().get("pump.run := limits.high > 50.0;") != value:
            editor.run(editor.changed.wait())
            editor.changed.clear()

    async def written():
        async with PlantClient(find(editor.folder)) as client:
            await client.write("site/area/line/tank/setpoint", 10.0, "test")

    assert hints() == {}
    plant = subprocess.Popen(
        [sys.executable, "-m", "runtime.cli", "run", str(editor.folder), "--attached"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        show("= 85 %")
        found = hints()
        assert found["(* Ümläute 𝄞 *) limits.high := Twice(value := wanted_pct);"] == "= 42.5 %"
        assert found["doser(level := wanted_pct);"] == "= 42.5 %"
        editor.run(written())
        show("= 20 %")
    finally:
        plant.stdin.close()
        plant.wait(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    editor.changed.clear()
    while hints():
        assert time.monotonic() < deadline
        editor.run(editor.changed.wait())
        editor.changed.clear()
