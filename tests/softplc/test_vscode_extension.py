"""The VS Code extension: it packs, and its grammar knows every keyword that the lexer has."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

import softplc
from softplc.debug.protocol import Attach, Launch
from softplc.debug.session import Session
from softplc.iectypes import ELEMENTARY
from softplc.lexer import KEYWORDS

FOLDER = Path(softplc.__file__).parent / "lsp" / "vscode"
GRAMMAR = json.loads((FOLDER / "syntaxes" / "iecst.tmLanguage.json").read_text(encoding="utf-8"))


def rules(node):
    """Yield scope and pattern of every rule."""
    if isinstance(node, dict):
        if "match" in node:
            yield node.get("name", ""), node["match"]
        for each in node.values():
            yield from rules(each)
    elif isinstance(node, list):
        for each in node:
            yield from rules(each)


RULES = [(name, re.compile(pattern)) for name, pattern in rules(GRAMMAR["repository"])]


def scopes(word):
    """Return the scopes of the rules that take a whole word, in capitals or not."""
    return {
        name.split(".")[0]
        for name, pattern in RULES
        if all(pattern.fullmatch(w) for w in (word, word.lower()))
    }


def test_the_grammar_names_every_keyword_and_type():
    assert [word for word in sorted(KEYWORDS) if not scopes(word) & {"keyword", "storage", "constant"}] == []
    assert [word for word in ELEMENTARY if "storage" not in scopes(word)] == []


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("T#1h2m3.5s", "constant"),
        ("DT#2024-02-29-12:00:00", "constant"),
        ("16#FF_FF", "constant"),
        ("1.5E-3", "constant"),
        ("%IX0.0", "variable"),
        ("%Q*", "variable"),
        (":=", "keyword"),
        ("// anything", "comment"),
    ],
)
def test_the_grammar_takes_literals_whole(text, scope):
    assert scope in {name.split(".")[0] for name, pattern in RULES if pattern.fullmatch(text)}


def test_a_name_is_no_keyword():
    assert scopes("motor") == set()
    assert scopes("IF_ready") == set()


def test_every_file_that_the_manifest_names_is_there():
    manifest = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    (language,) = manifest["contributes"]["languages"]
    (grammar,) = manifest["contributes"]["grammars"]
    for path in (manifest["main"], language["configuration"], grammar["path"]):
        assert (FOLDER / path).is_file()
    json.loads((FOLDER / "language-configuration.json").read_text(encoding="utf-8"))
    assert grammar["scopeName"] == GRAMMAR["scopeName"]
    assert ".st" in language["extensions"]


def test_the_debugger_is_asked_for_what_the_adapter_takes():
    manifest = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    (debugger,) = manifest["contributes"]["debuggers"]
    known = {
        request: {each.encode_name for each in msgspec.structs.fields(kind)}
        for request, kind in (("launch", Launch), ("attach", Attach))
    }
    asked = debugger["configurationAttributes"]
    assert {request: set(asked[request]["properties"]) | {"noDebug"} for request in asked} == known
    assert f'const TYPE = "{debugger["type"]}"' in (FOLDER / "client.js").read_text(encoding="utf-8")
    for snippet in debugger["configurationSnippets"]:
        body = snippet["body"]
        assert set(body) - {"type", "request", "name"} <= known[body["request"]]
    commands = {each["command"] for each in manifest["contributes"]["commands"]}
    assert {each["command"] for each in manifest["contributes"]["menus"]["debug/toolBar"]} <= commands
    assert "nextScan" in Session.handlers


def test_it_packs(tmp_path):
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("there is no npm on this machine")
    subprocess.run(["node", "--check", FOLDER / "client.js"], check=True)
    command = ["npm", "pack", str(FOLDER), "--json", "--offline", "--pack-destination", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True)
    (packed,) = json.loads(done.stdout)
    files = {each["path"] for each in packed["files"]}
    assert {"client.js", "package.json", "syntaxes/iecst.tmLanguage.json", "README.md"} <= files
    assert (tmp_path / packed["filename"]).is_file()
