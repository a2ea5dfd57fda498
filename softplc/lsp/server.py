"""The server: what editors ask, over the Language Server Protocol.

A change is examined a moment after the last key; a question before that has it examined at once. Questions
about text with syntax errors are answered from what could be read, and from the last text without errors
where that is not enough.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from pathlib import Path

from lsprotocol import types
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from runtime.errors import PlantError
from softplc.bind.scope import Scope
from softplc.diagnostics import ERROR, CompileError, Diagnostic
from softplc.fixes import fix_of
from softplc.formatter import format_text
from softplc.lsp.analysis import Analysis
from softplc.lsp.complete import complete
from softplc.lsp.convert import ENTRY_KINDS, completion, symbol_of
from softplc.lsp.describe import describe
from softplc.lsp.live import Live, beside
from softplc.lsp.outline import outline, walk
from softplc.lsp.places import Places
from softplc.lsp.projects import Project, bound_in, plant_of
from softplc.lsp.rename import renamable, rename
from softplc.lsp.signatures import signature_at
from softplc.lsp.spot import Spot, spot_at
from softplc.lsp.symbols import Occurrence, Symbol
from softplc.symbols import Pou

PAUSE_S = 0.2
SOURCE = "ironworks"
MOST_FOUND = 500


class Server(LanguageServer):
    """The open projects and what is told about them."""

    def __init__(self, live: bool = True) -> None:
        super().__init__("ironworks", version("ironworks"))
        self.projects: dict[str, Project] = {}
        self._of_file: dict[str, Project] = {}
        self._uris: dict[str, str] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._live: dict[Path, tuple[Live, asyncio.Task[None]]] = {}
        self._shows_live = live

    @property
    def places(self) -> Places:
        return Places(self.workspace.position_codec)

    # Texts ---------------------------------------------------------------------------------------

    def name_of(self, uri: str) -> str:
        """Return the name of a document's file; a text without file is named by its URI."""
        path = uris.to_fs_path(uri) if uri.startswith("file:") else None
        return path or uri

    def uri_of(self, name: str) -> str:
        if name in self._uris or not Path(name).is_absolute():
            return self._uris.get(name, name)
        return uris.from_fs_path(name) or name

    def project(self, uri: str) -> Project:
        """Return the project of a document: that of its plant, or its own."""
        name = self.name_of(uri)
        if name not in self._of_file:
            plant = plant_of(Path(name)) if Path(name).is_absolute() else None
            key = str(plant[0]) if plant else name
            folder, patterns = plant or (None, ())
            self._of_file[name] = self.projects.setdefault(key, Project(folder, patterns))
        return self._of_file[name]

    def take(self, uri: str, text: str) -> None:
        """Take in the present text of a document."""
        name = self.name_of(uri)
        self._uris[name] = uri
        project = self.project(uri)
        project.opened[name] = text
        self.renew(project)

    def drop(self, uri: str) -> None:
        """Go back to what is on disk."""
        name = self.name_of(uri)
        project = self.project(uri)
        project.opened.pop(name, None)
        self._of_file.pop(name, None)
        self.renew(project)

    def renew(self, project: Project) -> None:
        """Examine a project again after a pause without changes."""
        project.stale = True
        timer = self._timers.pop(id(project), None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[id(project)] = loop.call_later(PAUSE_S, self.tell, project)

    def tell(self, project: Project) -> None:
        """Publish what is wrong, file by file; files that are clean now are told as well."""
        self._timers.pop(id(project), None)
        analysis = project.fresh()
        by_file: dict[str, list[types.Diagnostic]] = {name: [] for name in {*analysis.sources, *project.told}}
        for each in analysis.findings:
            by_file.setdefault(each.file, []).append(self.diagnostic(analysis, each))
        for name, found in by_file.items():
            if project.told.get(name) != found:
                params = types.PublishDiagnosticsParams(self.uri_of(name), found)
                self.text_document_publish_diagnostics(params)
        project.told = {name: found for name, found in by_file.items() if name in analysis.sources}

    def diagnostic(self, analysis: Analysis, finding: Diagnostic) -> types.Diagnostic:
        severity = (
            types.DiagnosticSeverity.Error if finding.severity == ERROR else types.DiagnosticSeverity.Warning
        )
        unnecessary = [types.DiagnosticTag.Unnecessary] if finding.code in ("ST6001", "ST6005") else None
        text = f"{finding.message}\n{finding.remedy}" if finding.remedy else finding.message
        place = self.places.range(analysis.texts, finding.at, finding.end)
        return types.Diagnostic(place, text, severity, finding.code, source=SOURCE, tags=unnecessary)

    # Questions -----------------------------------------------------------------------------------

    def found_at(self, uri: str, position: types.Position) -> tuple[Analysis, Occurrence | None]:
        """Return the name at a position."""
        analysis = self.project(uri).fresh()
        name = self.name_of(uri)
        if name not in analysis.sources:
            return analysis, None
        return analysis, analysis.at(name, self.places.offset(analysis.sources[name], position))

    def meant_at(self, uri: str, position: types.Position) -> tuple[Analysis, Symbol | None]:
        """Return what the name at a position means; in broken text, what it meant before."""
        analysis, found = self.found_at(uri, position)
        if found is not None:
            return analysis, found.symbol
        project = self.project(uri)
        name = self.name_of(uri)
        if project.good is None or not analysis.broken or name not in project.good.sources:
            return analysis, None
        text = analysis.sources.get(name, "")
        offset = self.places.offset(text, position)
        while offset < len(text) and (text[offset].isalnum() or text[offset] == "_"):
            offset += 1
        spot = spot_at(text, offset)
        return project.good, _named(project.good, spot)

    def spot(self, uri: str, position: types.Position) -> tuple[Spot, Scope]:
        """Return where somebody writes, and what names mean there."""
        project = self.project(uri)
        analysis = project.fresh()
        text = analysis.sources.get(self.name_of(uri), "")
        spot = spot_at(text, self.places.offset(text, position))
        known, good = analysis.unit_at(spot), None
        if analysis.broken and project.good is not None:
            good = project.good.unit_at(spot)
        lost = good is not None and (known is None or len(known.variables) < len(good.variables))
        if project.good is not None and (lost or (analysis.broken and not spot.unit)):
            return spot, Scope(project.good.project, good)
        return spot, Scope(analysis.project, known)

    def location(self, analysis: Analysis, place: Occurrence) -> types.Location | None:
        """Return where a name stands; library blocks have files of their own."""
        from softplc import library

        source = analysis.texts.at(place.at)
        found = self.places.range(analysis.texts, place.at, place.end)
        if analysis.is_ours(place):
            return types.Location(self.uri_of(source.name), found)
        file = library.block_files().get(Path(source.name).stem.casefold())
        return types.Location(uris.from_fs_path(str(file)) or "", found) if file is not None else None

    def edit(self, analysis: Analysis, places: list[Occurrence], text: str) -> types.WorkspaceEdit:
        changes: dict[str, list[types.TextEdit]] = {}
        for each in places:
            uri = self.uri_of(analysis.texts.at(each.at).name)
            edit = types.TextEdit(self.places.range(analysis.texts, each.at, each.end), text)
            changes.setdefault(uri, []).append(edit)
        return types.WorkspaceEdit(changes)

    def live(self, project: Project) -> Live | None:
        """Return the live values of a plant, followed from the first question on."""
        if project.folder is None or not self._shows_live:
            return None
        if project.folder not in self._live:
            found = Live(project.folder, self._refresh)
            task = asyncio.get_running_loop().create_task(found.run())
            self._live[project.folder] = (found, task)
        return self._live[project.folder][0]

    def _refresh(self) -> None:
        workspace = self.client_capabilities.workspace
        if (
            workspace is not None
            and workspace.inlay_hint is not None
            and workspace.inlay_hint.refresh_support
        ):
            self.workspace_inlay_hint_refresh(None)

    def end(self) -> None:
        """Stop what runs beside."""
        for timer in self._timers.values():
            timer.cancel()
        for _, task in self._live.values():
            task.cancel()
        self._live.clear()


def _named(analysis: Analysis, spot: Spot) -> Symbol | None:
    """Return what a name at a spot means, told from names alone."""
    from softplc.lsp.resolve import symbol_named

    unit: Pou | None = analysis.unit_at(spot)
    return symbol_named(analysis, Scope(analysis.project, unit), [*spot.way, spot.prefix])


def make(live: bool = True) -> Server:
    """Return a server with everything it answers."""
    server = Server(live)
    _register_texts(server)
    _register_questions(server)
    _register_writing(server)
    _register_changes(server)
    return server


def _register_texts(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        server.take(params.text_document.uri, params.text_document.text)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.take(uri, server.workspace.get_text_document(uri).source)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        server.drop(params.text_document.uri)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_files(params: types.DidChangeWatchedFilesParams) -> None:
        for project in server.projects.values():
            server.renew(project)

    @server.feature(types.SHUTDOWN)
    def shutdown(_: None) -> None:
        server.end()


def _register_questions(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        uri = params.text_document.uri
        analysis, symbol = server.meant_at(uri, params.position)
        text = describe(analysis, symbol) if symbol is not None else ""
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text)) if text else None

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> types.Location | None:
        analysis, symbol = server.meant_at(params.text_document.uri, params.position)
        place = analysis.declaration(symbol) if symbol is not None else None
        return server.location(analysis, place) if place is not None else None

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def references(params: types.ReferenceParams) -> list[types.Location]:
        analysis, symbol = server.meant_at(params.text_document.uri, params.position)
        found = analysis.occurrences(symbol) if symbol is not None else []
        wanted = [each for each in found if params.context.include_declaration or not each.declares]
        return [place for each in wanted if (place := server.location(analysis, each)) is not None]

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    def highlight(params: types.DocumentHighlightParams) -> list[types.DocumentHighlight]:
        analysis, found = server.found_at(params.text_document.uri, params.position)
        if found is None:
            return []
        here = analysis.texts.at(found.at)
        kinds = types.DocumentHighlightKind
        return [
            types.DocumentHighlight(
                server.places.range(analysis.texts, each.at, each.end),
                kinds.Write if each.writes else kinds.Read,
            )
            for each in analysis.occurrences(found.symbol)
            if analysis.texts.at(each.at) is here
        ]

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def symbols(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        analysis = server.project(params.text_document.uri).fresh()
        unit = analysis.units.get(server.name_of(params.text_document.uri))
        return [symbol_of(each, analysis.texts, server.places) for each in outline(unit)] if unit else []

    @server.feature(types.WORKSPACE_SYMBOL)
    def workspace_symbols(params: types.WorkspaceSymbolParams) -> list[types.WorkspaceSymbol]:
        found: list[types.WorkspaceSymbol] = []
        for project in server.projects.values():
            analysis = project.fresh()
            for name, unit in analysis.units.items():
                for each, owner in walk(outline(unit)):
                    if params.query.casefold() in each.name.casefold() and len(found) < MOST_FOUND:
                        place = server.places.range(
                            analysis.texts, each.name_at, each.name_at + len(each.name)
                        )
                        where = types.Location(server.uri_of(name), place)
                        found.append(
                            types.WorkspaceSymbol(
                                where, each.name, ENTRY_KINDS[each.kind], container_name=owner
                            )
                        )
        return found

    @server.feature(types.TEXT_DOCUMENT_INLAY_HINT)
    def inlay_hints(params: types.InlayHintParams) -> list[types.InlayHint]:
        uri = params.text_document.uri
        project = server.project(uri)
        live = server.live(project)
        analysis = project.fresh()
        name = server.name_of(uri)
        if live is None or not live.values or name not in analysis.sources:
            return []
        source = analysis.source(name)
        start, end = (
            server.places.offset(source.text, each) for each in (params.range.start, params.range.end)
        )
        return [
            types.InlayHint(
                server.places.position(source, source.base + at),
                f"= {shown.text()}",
                padding_left=True,
                tooltip=f"{shown.path}: {shown.description}" if shown.description else shown.path,
            )
            for at, shown in beside(analysis, name, start, end, live.values)
        ]


def _register_writing(server: Server) -> None:
    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[".", "#", "("])
    )
    def completions(params: types.CompletionParams) -> list[types.CompletionItem]:
        spot, scope = server.spot(params.text_document.uri, params.position)
        return [completion(each) for each in complete(spot, scope)]

    @server.feature(
        types.TEXT_DOCUMENT_SIGNATURE_HELP,
        types.SignatureHelpOptions(trigger_characters=["(", ","], retrigger_characters=["="]),
    )
    def signature_help(params: types.SignatureHelpParams) -> types.SignatureHelp | None:
        found = signature_at(*server.spot(params.text_document.uri, params.position))
        if found is None:
            return None
        parts = [types.ParameterInformation(each) for each in found.parts]
        shown = types.SignatureInformation(found.label, found.text, parts, found.active)
        return types.SignatureHelp([shown], 0, found.active)


def _register_changes(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: types.DocumentFormattingParams) -> list[types.TextEdit]:
        document = server.workspace.get_text_document(params.text_document.uri)
        try:
            text = format_text(document.source, server.name_of(document.uri))
        except CompileError:
            return []  # the diagnostics say where
        if text == document.source:
            return []
        lines = document.source.count("\n") + 1
        return [types.TextEdit(types.Range(types.Position(0, 0), types.Position(lines, 0)), text)]

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare_rename(params: types.PrepareRenameParams) -> types.Range:
        analysis, found = server.found_at(params.text_document.uri, params.position)
        why = renamable(analysis, found.symbol) if found is not None else "there is no name here"
        if why or found is None:
            raise JsonRpcInvalidParams(why)
        return server.places.range(analysis.texts, found.at, found.end)

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def renaming(params: types.RenameParams) -> types.WorkspaceEdit:
        analysis, found = server.found_at(params.text_document.uri, params.position)
        if found is None:
            raise JsonRpcInvalidParams("there is no name here")
        try:
            places = rename(analysis, found.symbol, params.new_name)
        except PlantError as exc:
            raise JsonRpcInvalidParams(f"{exc.text}: {exc.remedy}" if exc.remedy else exc.text) from exc
        folder = server.project(params.text_document.uri).folder
        bound = bound_in(folder, found.symbol.name) if folder is not None else ""
        if bound:
            text = f"{bound} names {found.symbol.name}: write {params.new_name} there as well"
            server.window_show_message(types.ShowMessageParams(types.MessageType.Warning, text))
        return server.edit(analysis, places, params.new_name)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix]),
    )
    def code_actions(params: types.CodeActionParams) -> list[types.CodeAction]:
        uri = params.text_document.uri
        analysis = server.project(uri).fresh()
        name = server.name_of(uri)
        actions: list[types.CodeAction] = []
        for finding in analysis.findings:
            fix = fix_of(finding)
            if fix is None or finding.file != name:
                continue
            diagnostic = server.diagnostic(analysis, finding)
            if diagnostic.range.end < params.range.start or params.range.end < diagnostic.range.start:
                continue
            source = analysis.source(name)
            place = types.Range(
                server.places.of_line(source, fix.line, fix.column),
                server.places.of_line(source, fix.end_line, fix.end_column),
            )
            edit = types.WorkspaceEdit({server.uri_of(name): [types.TextEdit(place, fix.text)]})
            kind = types.CodeActionKind.QuickFix
            actions.append(types.CodeAction(fix.title, kind, [diagnostic], is_preferred=True, edit=edit))
        return actions
