"""Features: which question of the protocol is answered by what."""

from __future__ import annotations

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from runtime.errors import PlantError
from softplc.diagnostics import CompileError
from softplc.fixes import fix_of
from softplc.formatter import format_text
from softplc.lsp.complete import complete
from softplc.lsp.convert import ENTRY_KINDS, completion, symbol_of
from softplc.lsp.describe import describe
from softplc.lsp.live import beside
from softplc.lsp.outline import outline, walk
from softplc.lsp.projects import bound_in
from softplc.lsp.rename import renamable, rename
from softplc.lsp.server import Server
from softplc.lsp.signatures import signature_at

MOST_FOUND = 500


def make(live: bool = True) -> Server:
    """Return a server with everything it answers."""
    server = Server(live)
    _register_texts(server)
    _register_questions(server)
    _register_writing(server)
    _register_changes(server)
    return server


def _register_texts(server: Server) -> None:
    @server.feature(types.INITIALIZED)
    async def initialized(_: types.InitializedParams) -> None:
        await server.watch()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        server.take(params.text_document.uri, params.text_document.text)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.take(uri, server.workspace.get_text_document(uri).source)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        project = server.project(params.text_document.uri)
        if project.folder is None:
            server.regroup()  # a new file belongs to its plant once it is on disk
        else:
            server.renew(project)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        server.drop(params.text_document.uri)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_files(params: types.DidChangeWatchedFilesParams) -> None:
        plain = types.FileChangeType.Changed
        if any(each.type != plain or each.uri.endswith("plant.yaml") for each in params.changes):
            server.regroup()
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
            profile = server.project(document.uri).profile()
            text = format_text(document.source, server.name_of(document.uri), profile)
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
