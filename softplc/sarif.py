"""SARIF: findings as the static analysis results that code hosts and editors read.

Source: OASIS SARIF 2.1.0, 3.13 (log), 3.14 (run), 3.27 (result), 3.49 (reporting descriptor), 3.55 (fix).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from softplc.diagnostics import Diagnostic
from softplc.explain import explanation
from softplc.fixes import fix_of

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
BASE = "WORKDIR"


def sarif(findings: Sequence[Diagnostic], folder: Path) -> dict[str, Any]:
    """Return a log with one run; places are relative to `folder` where they lie below it."""
    codes = sorted({each.code for each in findings})
    severities = {each.code: each.severity for each in findings}
    driver = {
        "name": "ironworks",
        "version": version("ironworks"),
        "rules": [_rule(code, severities[code]) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {BASE: {"uri": folder.resolve().as_uri().rstrip("/") + "/"}},
        "results": [_result(each, codes.index(each.code), folder) for each in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str, severity: str) -> dict[str, Any]:
    text = explanation(code) or code
    first = text.splitlines()[0].partition(": ")[2] or code
    return {
        "id": code,
        "shortDescription": {"text": first},
        "fullDescription": {"text": text},
        "help": {"text": text},
        "defaultConfiguration": {"level": severity},
    }


def _result(finding: Diagnostic, index: int, folder: Path) -> dict[str, Any]:
    artifact = _artifact(finding.file, folder)
    text = f"{finding.message} ({finding.remedy})" if finding.remedy else finding.message
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": text},
        "locations": [
            {"physicalLocation": {"artifactLocation": artifact, "region": _region(_place(finding))}}
        ],
    }
    fix = fix_of(finding)
    if fix is not None:
        place = (fix.line, fix.column, fix.end_line, fix.end_column)
        replacement = {"deletedRegion": _region(place), "insertedContent": {"text": fix.text}}
        change = {"artifactLocation": artifact, "replacements": [replacement]}
        result["fixes"] = [{"description": {"text": fix.title}, "artifactChanges": [change]}]
    return result


def _place(finding: Diagnostic) -> tuple[int, int, int, int]:
    start = (max(finding.line, 1), max(finding.column, 1))
    end = max((finding.end_line, finding.end_column), start)
    return *start, *end


def _region(place: Iterable[int]) -> dict[str, int]:
    return dict(zip(("startLine", "startColumn", "endLine", "endColumn"), place, strict=True))


def _artifact(file: str, folder: Path) -> dict[str, str]:
    from urllib.parse import quote

    path = (folder / file).resolve()
    if path.is_relative_to(folder.resolve()):
        return {"uri": quote(path.relative_to(folder.resolve()).as_posix()), "uriBaseId": BASE}
    return {"uri": path.as_uri()}
