"""Trees that are kept: an analysis that goes on with those of the last one knows what a fresh one does."""

from softplc.lsp import trees
from softplc.lsp.analysis import Analysis
from softplc.lsp.trees import Trees
from softplc.parser import parse
from softplc.profiles import CODESYS, IEC

FILES = {
    "plant/a.st": """NAMESPACE Lib
    TYPE Mode : (Off, On); Point : STRUCT x : INT := 3; mode : Mode; END_STRUCT; END_TYPE
    FUNCTION Twice : INT VAR_INPUT n : INT; END_VAR Twice := n * 2; END_FUNCTION
    END_NAMESPACE""",
    "plant/b.st": """USING Lib;
    PROGRAM Main VAR p : Point; n : INT; wait : TON; unused : INT; END_VAR
    INITIAL_STEP First: END_STEP TRANSITION FROM First TO Second := n > 3; END_TRANSITION
    STEP Second: Work(N); END_STEP TRANSITION FROM Second TO First := wait.Q; END_TRANSITION
    ACTION Work: n := Twice(n := p.x) + missing; wait(IN := TRUE, PT := T#1s); p.mode := Mode#On; END_ACTION
    END_PROGRAM""",
}


def known(analysis):
    """Return what an editor is told: findings, and every name with its place and what it means."""
    texts = analysis.texts
    names = [
        (texts.at(each.at).name, each.at - texts.at(each.at).base, each.symbol.kind, each.symbol.name)
        for each in analysis.index.found
    ]
    return [(each.file, each.line, each.column, each.message) for each in analysis.findings], names


def test_only_an_edited_file_is_parsed_and_all_is_known_as_in_a_fresh_analysis(monkeypatch):
    kept = Trees()
    Analysis(FILES, IEC, kept)
    edits = [FILES["plant/a.st"].replace("n * 2", f"n * {text}") for text in ("3", "(n", "missing + 100000")]
    fresh = [known(Analysis({**FILES, "plant/a.st": text}, IEC)) for text in edits]
    parsed = []

    def noted(source, profile):
        parsed.append(source.name)
        return parse(source, profile)

    monkeypatch.setattr(trees, "parse", noted)
    assert [known(Analysis({**FILES, "plant/a.st": text}, IEC, kept)) for text in edits] == fresh
    assert parsed == 3 * ["plant/a.st"]
    Analysis({"plant/a.st": edits[-1]}, CODESYS, kept)
    Analysis(FILES, IEC, kept)
    assert parsed[3:6] == ["plant/a.st", *FILES]


def test_a_tree_that_is_too_deep_to_be_kept_is_there_all_the_same():
    text = f"PROGRAM Main VAR n : INT; END_VAR n := {'+'.join(['n'] * 1900)}; END_PROGRAM"
    kept = Trees()
    for _ in range(2):
        assert Analysis({"a.st": text}, IEC, kept).findings == []
