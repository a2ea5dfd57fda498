"""The server: what editors ask, over the Language Server Protocol.

A change is examined a moment after the last key; a question before that has it examined at once. Questions
about text with syntax errors are answered from what could be read, and from the last text without errors
where that is not enough.
"""

from __future__ import annotations

import asyncio
import gc
from importlib.metadata import version
from pathlib import Path

from lsprotocol import types
from pygls import uris
from pygls.lsp.server import LanguageServer

from softplc import library
from softplc.bind.scope import Scope
from softplc.diagnostics import ERROR, Diagnostic
from softplc.lsp.analysis import Analysis
from softplc.lsp.live import Live
from softplc.lsp.places import Places
from softplc.lsp.projects import Project, plant_of
from softplc.lsp.resolve import symbol_named
from softplc.lsp.spot import Spot, spot_at
from softplc.lsp.symbols import Occurrence, Symbol
from softplc.symbols import Pou

PAUSE_S = 0.2
SOURCE = "ironworks"
WATCHED = ("**/*.st", "**/*.xml", "**/plant.yaml")


class Server(LanguageServer):
    """The open projects and what is told about them."""

    def __init__(self, live: bool = True) -> None:
        # whole texts: to find the place of a part pygls also counts lines at form feeds, U+0085 and U+2028
        super().__init__("ironworks", version("ironworks"), types.TextDocumentSyncKind.Full)
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
        if project.folder is None:
            self.projects.pop(name, None)
        self.renew(project)

    async def watch(self) -> None:
        """Ask the editor to tell of files that change on disk, if it can."""
        workspace = self.client_capabilities.workspace
        able = workspace.did_change_watched_files if workspace is not None else None
        if able is None or not able.dynamic_registration:
            return
        options = types.DidChangeWatchedFilesRegistrationOptions(
            [types.FileSystemWatcher(each) for each in WATCHED]
        )
        method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
        await self.client_register_capability_async(
            types.RegistrationParams([types.Registration("files", method, options)])
        )

    def regroup(self) -> None:
        """Find again which files belong together: a plant file changed, or files came or went."""
        told = {name for project in self.projects.values() for name in project.told}
        before, self.projects, self._of_file = self.projects, {}, {}
        for timer in self._timers.values():
            timer.cancel()  # else what was before is told again, and stays: nobody takes it back
        self._timers.clear()
        for project in before.values():
            for name, text in project.opened.items():
                self.take(self.uri_of(name), text)
        for key, project in self.projects.items():
            project.good = before[key].good if key in before else None
        known = {name for project in self.projects.values() for name in project.sources()}
        for name in told - known:
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(self.uri_of(name), []))

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
        gc.collect()  # the analysis before: nobody waits now

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
    unit: Pou | None = analysis.unit_at(spot)
    return symbol_named(analysis, Scope(analysis.project, unit), [*spot.way, spot.prefix])
