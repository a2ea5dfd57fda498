"""What people write by mistake is told once, where it is, with what to write instead."""

import pytest

import softplc

HEAD = """TYPE Color : (Red, Green); END_TYPE
FUNCTION F : INT VAR_INPUT a, b : INT; END_VAR F := a + b; END_FUNCTION
PROGRAM Main
VAR i, n : INT; r : REAL; b, c : BOOL; s : STRING; a : ARRAY[1..5] OF INT; w : WORD; tm : TIME; color : Color;
END_VAR
"""
LINES = HEAD.count("\n")
STATEMENTS = [
    ("IF i == 1 THEN n := 1; END_IF;", "1:6", "did you mean =?"),
    ("IF i := 1 OR b THEN n := 1; END_IF;", "1:6", "values are compared with ="),
    ("IF b THEN n := 1; ELSIF n := 2 AND c THEN n := 3; END_IF;", "1:27", "values are compared with ="),
    ("WHILE i := 1 DO n := 1; END_WHILE;", "1:9", "values are compared with ="),
    ("REPEAT n := 1; UNTIL i := 1 END_REPEAT;", "1:24", "values are compared with ="),
    ("b := i =< 1;", "1:8", "did you mean <=?"),
    ("x : INT := 3;", "1:3", "variables are declared in a VAR block: name : type;"),
    ("x : ARRAY[0..1] OF INT;", "1:3", "variables are declared in a VAR block: name : type;"),
    ("IF i != 1 THEN n := 1; END_IF;", "1:6", "did you mean <>?"),
    ("IF b && c THEN n := 1; END_IF;", "1:6", "did you mean AND?"),
    ("IF b || c THEN n := 1; END_IF;", "1:6", "did you mean OR?"),
    ("IF !b THEN n := 1; END_IF;", "1:4", "did you mean NOT?"),
    ("i := n % 2;", "1:8", "did you mean MOD?"),
    ("i++;", "1:2", "write i := i + ...;"),
    ("i -= 1;", "1:3", "write i := i - ...;"),
    ("i := n << 1;", "1:9", "shift with SHL(x, n)"),
    ("w := 0x1F;", "1:7", "hexadecimal numbers are written 16#1F"),
    ("tm := 500ms;", "1:10", "durations are written T#500ms"),
    ("r := (-8.0) ** 0.5;", "1:7", "choose others"),
    ("r := 1.0E300 ** 2;", "1:6", "choose others"),
    ("tm := tm + 5;", "1:7", "write a duration such as T#5s"),
    ("r := 1.;", "1:8", "write 1.0"),
    ("r := .5;", "1:6", "write 0.5"),
    ("i := INT(r);", "1:6", "convert it with TO_INT(...)"),
    ("s := 'it's';", "1:9", "write a quote inside of a text as $'"),
    ("s := 'it''s';", "1:9", "write a quote inside of a text as $'"),
    ("i : = 1;", "1:3", "assignments are written with := , without a blank in it"),
    ("b := 1 < i < 5;", "1:6", "compare twice: a < b AND b < c"),
    ("b := i > 1 AND < 5;", "1:16", "say what is compared: AND x < ..."),
    ("a(1) := 2;", "1:1", "indices stand in brackets: a[...]"),
    ("i := n n;", "1:8", ""),
    ("i := INT;", "1:6", "declare a variable of it"),
    ("r := REAL#TRUE;", "1:6", "write one that it has"),
    ("s := STRING#5;", "1:6", "write STRING#'..'"),
    ("i := THIS.n;", "1:6", "it stands in function blocks and classes, for the instance"),
    ("b := w.16;", "1:6", "X0 to X15 exist"),
    ("RETURN i;", "1:8", "RETURN takes no value: assign it to the name of the function before"),
    ("IF b THEN i := 1; ENDIF;", "1:19", "did you mean END_IF?"),
    ("IF b THEN i := 1; END IF;", "1:19", "did you mean END_IF?"),
    ("IF b THEN i := 1; END_FOR;", "1:19", "did you mean END_IF?"),
    (
        "IF b THEN i := 1; ELSE IF c THEN i := 2; END_IF;",
        "1:1",
        "ELSE IF opens another IF, with an END_IF of its own",
    ),
    ("FOR i = 1 TO 3 DO n := i; END_FOR;", "1:7", ""),
    ("IF b AND THEN i := 1; ELSIF c THEN i := 2; ELSE i := 3; END_IF;", "1:10", ""),
    ("WHILE (i < ) DO i := 1; END_WHILE;", "1:12", ""),
    ("REPEAT i := ; UNTIL b END_REPEAT;", "1:13", ""),
    ("CASE i OF\n1 n := 1;\n2: n := 3;\nELSE n := 4;\nEND_CASE;", "2:3", "labels end with a colon"),
    ("IF b THEN\nFOR n := 1 TO 3 DO\ni := 2;\nEND_IF;", "2:1", "add END_FOR;"),
    ("# comment", "1:1", "comments are // ... or (* ... *)"),
    ("i;", "1:2", "write i := value; or call it: i();"),
    ("INT x;", "1:5", "variables are declared in a VAR block: name : type;"),
    ("ende: i := 1;", "1:5", "there are no jumps: use IF, a loop or RETURN"),
    ("LD b\nST c", "1:1", "write it in ST, FBD or LD: the standard itself gives IL up"),
    ("GOTO x;", "1:6", "there are no jumps: use IF, a loop or RETURN"),
    ("%IW := 1;", "1:1", "addresses look like %IX0.0"),
    ("color := Color.Blue;", "1:10", "it has Red, Green"),
    ("(* open", "1:1", "close it with *)"),
    ("{ open", "1:1", "close it with }"),
]
DECLARATIONS = [
    ("VAR x INT; END_VAR", "1:7", "write x : INT"),
    ("VAR int x; END_VAR", "1:9", "the name comes first: x : int;"),
    ("VAR x : INT = 5; END_VAR", "1:13", "initial values are written with :="),
    ("VAR x := 5; END_VAR", "1:7", "a variable is name : type := value; statements stand behind END_VAR"),
    ("VAR x : ARRAY[5] OF INT; END_VAR", "1:16", "a dimension is its limits: 0..9"),
    ("VAR x : BOOL AT %IX0.0; END_VAR", "1:14", "the address stands before the colon: x AT %IX0.0 : BOOL;"),
    ("VAR x : INTEGER; END_VAR", "1:9", "did you mean INT?"),
    ("VAR x : ARRAY[0..n + 1] OF INT; n : INT; END_VAR", "1:18", "use literals and VAR CONSTANT"),
    ("VAR type : INT; END_VAR", "1:5", "TYPE is a keyword: choose another name"),
    ("VAR x : INT(0..10) := 11; END_VAR", "1:23", "INT(0..10) goes from 0 to 10"),
    ("VAR x : INT;", "2:1", "the declarations after VAR end with END_VAR"),
]
UNITS = [
    ("FUNCTION G INT\nVAR_INPUT a : INT; END_VAR\nG := a;\nEND_FUNCTION", "1:12", "write G : INT"),
    ("FUNCTION_BLOCK G\nMETHOD m : INT\nm := 1;\nEND_FUNCTION_BLOCK", "4:1", ""),
    ("VAR x : INT; END_VAR", "1:1", "variables stand in a unit; those for all of them in VAR_GLOBAL"),
    ("STRUCT a : INT; END_STRUCT", "1:1", "types stand in TYPE ... END_TYPE"),
    ("x := 1;", "1:1", "statements stand in a unit"),
    ("INTERFACE I END_INTERFACE PROGRAM G IMPLEMENTS I ; END_PROGRAM", "1:48", "make it a FUNCTION_BLOCK"),
    (
        "FUNCTION G : INT METHOD m END_METHOD G := 1; END_FUNCTION",
        "1:18",
        "make it a FUNCTION_BLOCK or a CLASS",
    ),
    ("FUNCTION G : INT VAR_IN_OUT CONSTANT a : INT; END_VAR G := a; END_FUNCTION", "1:29", "remove CONSTANT"),
    (
        "FUNCTION G : INT VAR CONSTANT t : TON; END_VAR G := 1; END_FUNCTION",
        "1:31",
        "declare it without CONST",
    ),
    (
        "FUNCTION_BLOCK G VAR h : H; END_VAR END_FUNCTION_BLOCK FUNCTION_BLOCK H VAR g : G; END_VAR "
        "END_FUNCTION_BLOCK",
        "1:16",
        "declare one of them in VAR_IN_OUT",
    ),
    (
        "TYPE S : STRUCT a : INT; END_STRUCT; T : ARRAY[0..1] OF S := [a := 1]; END_TYPE",
        "1:65",
        "an element with",
    ),
    ("TYPE S : STRUCT a : ARRAY[0..1] OF INT := 0; END_STRUCT; END_TYPE", "1:43", "write [1, 2, 3]"),
    ("PROGRAM P VAR t : TON := (PT := T#1s, pt := T#2s); END_VAR t(); END_PROGRAM", "1:39", "give it once"),
    ("PROGRAM P VAR t : TON; END_VAR t(IN = TRUE, PT := T#1s); END_PROGRAM", "1:34", "write IN := ..."),
    ("PROGRAM P VAR t : TON; END_VAR t(IN = TRUE); END_PROGRAM", "1:34", "write IN := ..."),
    ("CLASS C VAR_TEMP n : INT; END_VAR END_CLASS", "1:18", "declare it in VAR, or in the method"),
    ("INTERFACE I VAR n : INT; END_VAR END_INTERFACE", "1:17", "declare it in what implements"),
    (
        "INTERFACE I METHOD m VAR_INPUT a : INT; END_VAR VAR n : INT; END_VAR END_METHOD END_INTERFACE",
        "1:53",
        "declare it in what implements the interface",
    ),
    ("FUNCTION F : INT VAR_GLOBAL n : INT; END_VAR F := n; END_FUNCTION", "1:29", "name it in VAR_EXTERNAL"),
    ("FUNCTION F : INT VAR RETAIN n : INT; END_VAR n := 1; F := n; END_FUNCTION", "1:29", "without RETAIN"),
    ("PROGRAM P VAR_TEMP RETAIN n : INT; END_VAR n := n + 1; END_PROGRAM", "1:27", "without RETAIN"),
]
CASES = [
    *((HEAD + text + "\nEND_PROGRAM\n", LINES, *rest) for text, *rest in STATEMENTS),
    *(("PROGRAM Main\n" + text + "\nEND_PROGRAM\n", 1, *rest) for text, *rest in DECLARATIONS),
    *((text, 0, *rest) for text, *rest in UNITS),
]
NAMES = [text for text, *_ in (*STATEMENTS, *DECLARATIONS, *UNITS)]


@pytest.mark.parametrize(("text", "before", "where", "remedy"), CASES, ids=NAMES)
def test_a_mistake_is_told_once_with_its_place_and_remedy(text, before, where, remedy):
    (finding,) = softplc.check(sources={"a.st": text})
    assert finding.severity == "error"
    assert f"{finding.line - before}:{finding.column}" == where
    assert remedy in finding.remedy


def test_a_variable_may_have_the_name_of_its_enumeration():
    text = HEAD + "color := Color.Green; IF color = Color.Red THEN i := 1; END_IF\nEND_PROGRAM\n"
    assert [each.code for each in softplc.check(sources={"a.st": text}) if each.severity == "error"] == []


def test_the_words_of_short_circuits_are_names_elsewhere():
    text = "PROGRAM P VAR b : BOOL; and_then, or_else : INT; END_VAR\n"
    text += (
        "and_then := or_else; or_else := 1; b := and_then = 1 AND_THEN or_else = 2 OR_ELSE b;\nEND_PROGRAM\n"
    )
    assert softplc.check(sources={"a.st": text}) == []
