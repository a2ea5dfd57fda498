"""What the profile codesys adds: what is told of it elsewhere, and of mistakes with it."""

import pytest

import softplc
from softplc.formatter import format_text
from softplc.lsp.analysis import Analysis
from softplc.lsp.outline import outline
from softplc.lsp.rename import rename, renamed
from softplc.plcopen.export import export
from softplc.profiles import CODESYS

MAIN = "PROGRAM Main VAR x : INT; d : DINT; END_VAR {} END_PROGRAM"


def findings(text, profile):
    return [
        (each.code, each.message, each.remedy)
        for each in softplc.check(sources={"a.st": text}, profile=profile)
    ]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("TYPE U : UNION r : REAL; END_UNION; END_TYPE " + MAIN.format("x := 1;"), "use STRUCT OVERLAP;"),
        (
            "FUNCTION_BLOCK A VAR_STAT n : INT; END_VAR n := 1; END_FUNCTION_BLOCK " + MAIN.format(";"),
            "VAR_STAT belongs",
        ),
        ("PROGRAM Main VAR r : REFERENCE TO INT; END_VAR ; END_PROGRAM", "use REF_TO;"),
        (
            "TYPE S : STRUCT a : INT; END_STRUCT; T EXTENDS S : STRUCT b : INT; END_STRUCT; END_TYPE "
            + MAIN.format(";"),
            "make it a member; EXTENDS",
        ),
    ],
)
def test_the_standard_profile_names_the_other_one(text, remedy):
    (finding,) = findings(text, "iec")
    assert finding[0] == "ST1010"
    assert finding[2].startswith(remedy)
    assert "profile codesys" in finding[2]


def test_its_words_are_names_elsewhere():
    text = "TYPE UNION : INT; END_TYPE PROGRAM Main VAR union : UNION; var_stat, reference : INT; END_VAR "
    assert (
        findings(text + "union := var_stat + reference; var_stat := 1; reference := 2; END_PROGRAM", "iec")
        == []
    )


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("r REF= d;", "ST3001", "REF_TO DINT does not convert to REFERENCE TO INT"),
        ("r REF= x + 1;", "ST4005", "there is no reference to what is no variable"),
        ("x REF= r;", "ST3001", "REF_TO INT does not convert to INT"),
        ("b := __ISVALIDREF(x);", "ST4005", "INT is no REFERENCE TO"),
        ("b := __ISVALIDREF(3);", "ST4002", "__ISVALIDREF takes a variable of REFERENCE TO"),
        ("a[1] := TRUE;", "ST3001", "BOOL does not convert to INT"),
        ("a[1] REF= d;", "ST3001", "REF_TO DINT does not convert to REFERENCE TO INT"),
        ("r REF= __NEW(INT);", "ST4005", "there is no memory to be had while a program runs"),
        ("__DELETE(x);", "ST4005", "there is no memory to be had while a program runs"),
        ("Other(no := 1);", "ST4003", "Other has no parameter no"),
        ("Other.no := 1;", "ST2004", "Other has no member no"),
        ("x := Other(n := x);", "ST4010", "the call of a program has no value"),
        ("Other := Other;", "ST3001", "instances of Other cannot be assigned"),
        ("Other(n := 3);", "ST3006", "only a variable can be passed as VAR_IN_OUT"),
        ("Main();", "ST2005", "recursion is not allowed: Main -> Main"),
        ("x := Add(a := 1, 2, 3);", "ST4002", "Add takes 2 arguments, not 3"),
        ("u.s := 'a';", "ST2050", "s cannot overlap: STRING is more than its bytes"),
    ],
)
def test_mistakes_are_told_once(text, code, message):
    union = "STRING" if "u.s" in text else "INT"
    head = f"TYPE U : UNION n : INT; s : {union}; END_UNION; END_TYPE PROGRAM Main "
    variables = "VAR x : INT; d : DINT; b : BOOL; u : U; r : REFERENCE TO INT; END_VAR "
    variables += "VAR a : ARRAY[0..1] OF REFERENCE TO INT; END_VAR "
    others = " PROGRAM Other VAR_IN_OUT n : INT; END_VAR n := n + 1; END_PROGRAM "
    others += "FUNCTION Add : INT VAR_INPUT a, b : INT; END_VAR Add := a + b; END_FUNCTION"
    found = findings(f"{head}{variables}{text} END_PROGRAM{others}", "codesys")
    assert [each[:2] for each in found] == [(code, message)]


def test_the_formatter_knows_them():
    text = "TYPE U:UNION a:REAL;b:DWORD;END_UNION;END_TYPE\n"
    text += "PROGRAM Main VAR_STAT r:REFERENCE TO INT;x:INT;END_VAR r REF=x;END_PROGRAM"
    assert format_text(text, "a.st", CODESYS) == (
        "TYPE\n    U : UNION\n        a : REAL;\n        b : DWORD;\n    END_UNION;\nEND_TYPE\n\n"
        "PROGRAM Main\nVAR_STAT\n    r : REFERENCE TO INT;\n    x : INT;\nEND_VAR\n\nr REF= x;\nEND_PROGRAM\n"
    )


def test_a_reference_in_a_declaration_uses_its_variable():
    text = "PROGRAM Main VAR x : INT; r : REF_TO INT := REF(x); END_VAR r^ := 1; END_PROGRAM"
    assert findings(text, "iec") == []


def test_a_shared_variable_may_be_written_by_every_instance():
    text = (
        "FUNCTION_BLOCK A VAR_STAT s : INT; END_VAR s := s + 1; END_FUNCTION_BLOCK\n"
        "FUNCTION_BLOCK B EXTENDS A s := s + 10; SUPER^(); END_FUNCTION_BLOCK\n"
        "PROGRAM Main VAR a, c : A; b : B; END_VAR a(); b(); c(); END_PROGRAM\n"
    )
    assert findings(text, "codesys") == []


def test_a_program_with_two_instances_cannot_be_named():
    programs = "PROGRAM A VAR n : INT; END_VAR n := 1; END_PROGRAM "
    programs += "PROGRAM B VAR x : INT; END_VAR x := A.n; END_PROGRAM "
    head = f"{programs}CONFIGURATION C RESOURCE r ON PLC TASK t(INTERVAL := T#10ms, PRIORITY := 1); "
    head += "PROGRAM B1 WITH t : B; PROGRAM A1 WITH t : A; "
    tail = "END_RESOURCE END_CONFIGURATION"
    assert findings(head + tail, "codesys") == []
    (finding,) = findings(f"{head}PROGRAM A2 WITH t : A; {tail}", "codesys")
    assert finding[:2] == ("ST2003", "A has several instances: A1, A2")


def test_what_extends_no_structure_is_told():
    text = "TYPE E : (One, Two); S EXTENDS E : STRUCT a : INT; END_STRUCT; END_TYPE "
    text += MAIN.format("x := 1;")
    (finding,) = findings(text, "codesys")
    assert finding[:2] == ("ST2020", "S cannot extend E")


def test_arguments_where_a_block_is_declared_are_told():
    text = "FUNCTION_BLOCK F VAR_INPUT n : INT; END_VAR n := n; END_FUNCTION_BLOCK "
    text += "PROGRAM P VAR a : F(n := 3); END_VAR a(); END_PROGRAM"
    (finding,) = findings(text, "codesys")
    assert finding[:2] == (
        "ST2053",
        "F has no FB_Init: it takes no arguments where an instance is declared",
    )


def test_a_property_has_get_or_set():
    text = "FUNCTION_BLOCK F PROPERTY p : INT END_PROPERTY END_FUNCTION_BLOCK " + MAIN.format(";")
    (finding,) = findings(text, "codesys")
    assert finding[:2] == ("ST1010", "expected GET or SET, found 'END_PROPERTY'")


def test_the_formatter_knows_actions_before_the_body():
    text = "PROGRAM P VAR n : INT; END_VAR ACTION Mark: n := n + 1; END_ACTION Mark(); END_PROGRAM "
    text += "PROGRAM Q ; END_PROGRAM"
    assert format_text(text, "a.st", CODESYS) == (
        "PROGRAM P\nVAR\n    n : INT;\nEND_VAR\n\n    ACTION Mark:\n        n := n + 1;\n    END_ACTION\n\n"
        "Mark();\nEND_PROGRAM\n\nPROGRAM Q;\nEND_PROGRAM\n"
    )


ENUMS = "TYPE E : (Off, On := 5, Fault); {attribute 'strict'} F : (A, B, C); END_TYPE "
STORE = (
    "TYPE S : STRUCT n : INT := 4; END_STRUCT; END_TYPE INTERFACE I METHOD next : I END_METHOD "
    "METHOD get : INT END_METHOD END_INTERFACE "
    "FUNCTION_BLOCK B IMPLEMENTS I VAR n : INT; s : S; a : ARRAY[0..1] OF INT := [6, 7]; END_VAR "
    "METHOD next : I n := n + 1; next := THIS^; END_METHOD METHOD get : INT get := n; END_METHOD "
    "METHOD more : REFERENCE TO B n := n + 10; more REF= THIS^; END_METHOD "
    "METHOD part : REFERENCE TO S part REF= s; END_METHOD METHOD count : REFERENCE TO INT count REF= n; "
    "END_METHOD METHOD self : POINTER TO B self := THIS; END_METHOD METHOD where : REF_TO S "
    "where := REF(s); END_METHOD END_FUNCTION_BLOCK "
)
ACTED = (
    "FUNCTION_BLOCK A VAR_INPUT k : INT; END_VAR VAR_IN_OUT io : INT; END_VAR VAR_OUTPUT q : INT; END_VAR "
    "q := -1; END_FUNCTION_BLOCK ACTION go: q := k * 2; io := io + 1; END_ACTION "
)
WHOLE = (
    "TYPE S : STRUCT n : INT := 1; m : INT := 2; END_STRUCT; T : STRUCT s : S := c; k : INT; END_STRUCT; "
    "END_TYPE VAR_GLOBAL CONSTANT c : S := (n := 2); d : S := c; END_VAR "
    "FUNCTION_BLOCK A VAR CONSTANT l : S := (n := 3); END_VAR VAR m : T := (k := 4); END_VAR "
    "END_FUNCTION_BLOCK FUNCTION H : INT VAR a : ARRAY[0..2] OF S := [c, 2(d)]; END_VAR "
    "H := a[0].n + a[2].n * 20; END_FUNCTION "
)
TWICE = (
    "FUNCTION One : REFERENCE TO INT VAR_INPUT v : REFERENCE TO INT; END_VAR One REF= v; END_FUNCTION "
    "FUNCTION Next : REFERENCE TO INT VAR_INPUT v : REFERENCE TO INT; END_VAR v := v + 1; Next REF= v; "
    "END_FUNCTION "
)
LENT = (
    "FUNCTION Double : INT VAR_IN_OUT CONSTANT v : INT; END_VAR Double := v * 2; END_FUNCTION "
    "FUNCTION Length : INT VAR_IN_OUT CONSTANT s : STRING; END_VAR Length := LEN(s); END_FUNCTION "
    "FUNCTION Fixed : INT VAR_INPUT CONSTANT v : INT := 8; END_VAR Fixed := v; END_FUNCTION "
)


@pytest.mark.parametrize(
    ("head", "body", "x"),
    [
        (ENUMS, "e := 5; IF e = On AND e > 4 THEN x := e + 1; END_IF;", 6),
        (ENUMS, "x := Fault; e := x; CASE x OF E#Fault: x := 10 + e; END_CASE;", 16),
        (ENUMS, "e := On; CASE e OF 5: x := 1; 6: x := 2; END_CASE;", 1),
        (ENUMS, "FOR e := Off TO Fault DO x := x + 1; END_FOR;", 7),
        (ENUMS, "x := 16#1234; x := (x AND NOT 16#FF) OR 16#F;", 0x120F),
        (ENUMS, "x := C; IF x = F#C THEN x := t[F#B] + t[f]; END_IF;", 3),
        (STORE, "b.next().next(); x := b.next().get();", 3),
        (STORE, "x := b.more().more().get();", 20),
        (STORE, "b.part().n := b.part().n + 1; x := b.part().n * 10 + b.where()^.n;", 55),
        (STORE, "b.count() := 3; r REF= b.count(); r := r + b.count(); x := b.count();", 6),
        (STORE, "b.self()^.next(); x := b.self()^.get();", 1),
        (STORE, "x := b.s.n + b.a[1];", 11),
        (ACTED, "a.go(k := 5, io := x, q => x); r REF= x; r := r + a.q;", 20),
        (
            ACTED,
            "a.go(3, x); p := ADR(a); p^.go(k := 4, q => x); a.go(EN := x = 9, k := 7); x := x + a.k;",
            12,
        ),
        (WHOLE, "x := a.l.n + a.m.s.n * 10 + H() * 100;", 4223),
        (
            TWICE,
            "x := 1; r REF= Next(Next(One(x))); r := r * 10; IF __ISVALIDREF(r) THEN x := x + 1; END_IF;",
            31,
        ),
        (
            STORE,
            "i := b; IF i <> 0 THEN x := 1; END_IF; i := 0; IF i = 0 THEN x := x + 2; END_IF;",
            3,
        ),
        (LENT, "x := Double(x) + Double(5) + Double(x + 1);", 12),
        (LENT, "x := Length('abc') + Length(text) * 10;", 23),
        (LENT, "x := Fixed() * 10 + Fixed(3);", 83),
        ("", "FOR x := 1 TO 5 DO IF x = 3 THEN x := 8; END_IF; END_FOR;", 9),
        (
            "FUNCTION G : INT VAR_INPUT a : INT; s : STRING; END_VAR VAR n : INT := LEN(s) + a; "
            "m : INT := n * 2; END_VAR G := n * 100 + m; END_FUNCTION ",
            "x := G(1, 'ab') + G(2, '');",
            510,
        ),
        (
            "FUNCTION_BLOCK G VAR n : INT := 3; END_VAR METHOD m : INT VAR k : INT := n; END_VAR n := n + 1; "
            "m := k; END_METHOD END_FUNCTION_BLOCK FUNCTION H : INT VAR g : G; END_VAR g.m(); H := g.m(); "
            "END_FUNCTION ",
            "x := H();",
            4,
        ),
        (
            "VAR_GLOBAL g AT %MB4 : BYTE; END_VAR FUNCTION_BLOCK G VAR_INPUT k : BYTE; END_VAR "
            "VAR s AT %MB4 : BYTE; n : BYTE; o AT %MW4 : INT := 7; END_VAR n := s; s := k; o := o + 1; "
            "END_FUNCTION_BLOCK FUNCTION H : INT VAR a, b : G; END_VAR a(k := 20); b(k := 3); "
            "H := b.n * 10 + g; END_FUNCTION ",
            "x := H() + %MW4 * 1000;",
            9203,
        ),
        ("VAR_GLOBAL g : INT := 4; p : POINTER TO INT := ADR(g); END_VAR ", "p^ := p^ + 1; x := g;", 5),
        (
            "FUNCTION_BLOCK G VAR a : ARRAY[0..2] OF INT := [4, 5, 6]; p : POINTER TO INT := ADR(a[1]); "
            "END_VAR METHOD m : INT m := p^ * 10 + p[1]; END_METHOD END_FUNCTION_BLOCK "
            "FUNCTION H : INT VAR g : G; END_VAR H := g.m(); END_FUNCTION ",
            "x := H();",
            56,
        ),
        (
            "VAR_GLOBAL s : STRING[8] := 'abc'; p : POINTER TO BYTE := ADR(s); END_VAR ",
            "p[3] := 100; x := LEN(s) * 10 + p[4];",
            40,
        ),
        ("VAR_GLOBAL CONSTANT Base : INT := 3; END_VAR TYPE G : (P := Base + 1, Q); END_TYPE ", "x := Q;", 5),
    ],
)
def test_it_computes_as_codesys_does(head, body, x):
    variables = (
        "x : INT; t : ARRAY[0..2] OF INT := [1, 2, 3]; text : STRING[9] := 'ab'; r : REFERENCE TO INT;"
    )
    variables += " e : E; f : F;" if head is ENUMS else " b : B; i : I := 0;" if head is STORE else ""
    variables += " a : A; p : POINTER TO A;" if head in (ACTED, WHOLE) else ""
    text = f"{head}PROGRAM Main VAR {variables} END_VAR {body} END_PROGRAM"
    plc = softplc.compile(sources={"a.st": text}, profile="codesys").simulator()
    plc.scan()
    assert plc.read("Main.x") == x


@pytest.mark.parametrize(
    ("head", "body", "finding"),
    [
        (ENUMS, "f := x;", ("ST3001", "INT does not convert to F", "assign one of A, B, C")),
        (ENUMS, "f := 1;", ("ST3004", "1 is no value of F", "")),
        (ENUMS, "x := f + 1;", ("ST3002", "+ cannot be applied to F and INT", "convert one of the operands")),
        (ENUMS, "e := 70000;", ("ST3004", "70000 is no value of E", "")),
        (STORE, "i := 1;", ("ST3004", "1 is no value of I", "assign an instance of a block")),
        (STORE, "b.n := 1;", ("ST3007", "n is not in the interface of B", "make it VAR_INPUT")),
        (
            STORE,
            "r REF= b.n;",
            ("ST3007", "n is not in the interface of B", "make it VAR_INPUT or VAR_OUTPUT"),
        ),
        (LENT, "", ("ST2018", "v is only read here: it cannot be assigned", "declare it without CONSTANT")),
        (
            "FUNCTION G : S G.n := 1; END_FUNCTION TYPE S : STRUCT n : INT; END_STRUCT; END_TYPE ",
            "x := G().n;",
            (
                "ST2004",
                "a call yields a copy, whose members cannot be named",
                "assign it to a variable first",
            ),
        ),
        (
            "FUNCTION G : STRING G := 'a'; END_FUNCTION ",
            "IF G()[1] = 'a' THEN x := 1; END_IF;",
            (
                "ST3005",
                "a call yields a copy, whose elements cannot be named",
                "assign it to a variable first",
            ),
        ),
        (
            "FUNCTION_BLOCK G VAR p : INT; END_VAR PROPERTY p : INT GET p := 1; END_GET END_PROPERTY "
            "p := 2; END_FUNCTION_BLOCK ",
            "",
            ("ST2002", "property or variable p is already declared", "rename or remove one of the two"),
        ),
        (
            "FUNCTION_BLOCK G PROPERTY p : INT GET p := 1; END_GET END_PROPERTY END_FUNCTION_BLOCK "
            "FUNCTION_BLOCK H EXTENDS G PROPERTY p : DINT SET ; END_SET END_PROPERTY END_FUNCTION_BLOCK ",
            "",
            ("ST2022", "H.p is of another type than G.p", "declare it as INT"),
        ),
        (
            "FUNCTION_BLOCK G PROPERTY p : INT GET VAR_INPUT q : INT; END_VAR p := 1; END_GET END_PROPERTY "
            "END_FUNCTION_BLOCK ",
            "",
            ("ST1010", "GET has no VAR_INPUT", "a property has one value: declare VAR, or write a METHOD"),
        ),
        (
            "FUNCTION G : INT PROPERTY p : INT GET p := 1; END_GET END_PROPERTY G := 1; END_FUNCTION ",
            "",
            ("ST1010", "a function has no methods", "make it a FUNCTION_BLOCK or a CLASS"),
        ),
        (
            "VAR_GLOBAL Other : INT; END_VAR PROGRAM Other ; END_PROGRAM ",
            "",
            ("ST2002", "program or variable Other is already declared", "rename or remove one of the two"),
        ),
        (
            "FUNCTION G : INT VAR_INPUT a : INT; END_VAR VAR CONSTANT n : INT := a; END_VAR G := n; "
            "END_FUNCTION ",
            "x := G(1);",
            ("ST2006", "an initial value must be a constant expression", "use literals and VAR CONSTANT"),
        ),
        (
            "FUNCTION_BLOCK G VAR_INPUT k : INT; END_VAR ; END_FUNCTION_BLOCK ACTION go: k := 1; END_ACTION "
            "FUNCTION H : INT VAR g : G; END_VAR g.go(w := 1); H := g.k; END_FUNCTION ",
            "x := H();",
            ("ST4003", "G has no parameter w", "it has k"),
        ),
        (
            "FUNCTION_BLOCK G VAR_INPUT k AT %MB4 : BYTE; END_VAR ; END_FUNCTION_BLOCK ",
            "",
            ("ST2008", "a function block has no located VAR_INPUT", "declare it in VAR, "),
        ),
        (
            "TYPE G : STRUCT n : INT; END_STRUCT; END_TYPE VAR_GLOBAL a : G; b : G := a; END_VAR ",
            "",
            ("ST2007", "one value cannot initialise G", "write (member := value)"),
        ),
        (
            "TYPE G : STRUCT n : INT; END_STRUCT; END_TYPE VAR_GLOBAL CONSTANT a : G := a; END_VAR ",
            "",
            ("ST2007", "one value cannot initialise G", "write (member := value)"),
        ),
        ("", "x := SIZEOF(what := x);", ("ST4003", "SIZEOF has no parameter what", "write the value alone")),
        ("", "r REF= REF(IN := x);", ("ST4003", "REF has no parameter IN", "write the value alone")),
        (
            "FUNCTION_BLOCK G VAR i AT %MW4 : INT; END_VAR ; END_FUNCTION_BLOCK "
            "PROGRAM H VAR g : G; END_VAR g(); END_PROGRAM VAR_CONFIG H.g.i AT %MW8 : INT; END_VAR ",
            "",
            ("ST2044", "i lies at %MW4 in all instances", "declare it AT %M*, or remove this"),
        ),
        (STORE, "x := b.get;", ("ST2004", "get is a method, not a variable", "call it: get(...)")),
        (STORE, "x := i.get;", ("ST2004", "get is a method, not a variable", "call it: get(...)")),
        (STORE, "x := i.got;", ("ST2004", "I has no member got", "it has next, get")),
        (
            "FUNCTION_BLOCK G VAR n : INT; END_VAR n := act; END_FUNCTION_BLOCK ACTION act: ; END_ACTION ",
            "",
            ("ST2003", "act is an action, not a variable", "call it: act(...)"),
        ),
        (
            "INTERFACE A METHOD m : INT END_METHOD END_INTERFACE INTERFACE B METHOD m : STRING END_METHOD "
            "END_INTERFACE INTERFACE C EXTENDS A, B END_INTERFACE ",
            "",
            ("ST2022", "A.m has other parameters or another result than B.m", "extend one of the two"),
        ),
        (
            "INTERFACE A PROPERTY p : INT SET END_SET END_PROPERTY END_INTERFACE INTERFACE B EXTENDS A "
            "PROPERTY p : STRING GET END_GET END_PROPERTY END_INTERFACE ",
            "",
            ("ST2022", "B.p is of another type than A.p", "declare it as in A.p"),
        ),
        ("", "l := 9223372036854775808;", ("ST3004", "9223372036854775808 is no value of LINT", "")),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy(head, body, finding):
    if head is LENT and not body:
        head = head.replace("Double := v * 2;", "v := 2;")
    variables = "x : INT; r : REFERENCE TO INT; l : LINT;"
    variables += " e : E; f : F;" if head is ENUMS else " b : B; i : I := 0;" if head is STORE else ""
    text = f"{head}PROGRAM Main VAR {variables} END_VAR {body} ; END_PROGRAM"
    errors = [
        each for each in softplc.check(sources={"a.st": text}, profile="codesys") if each.severity == "error"
    ]
    ((code, message, remedy),) = [(each.code, each.message, each.remedy) for each in errors]
    assert (code, message) == finding[:2]
    assert remedy.startswith(finding[2])


PLACED = (
    "FUNCTION_BLOCK F VAR i AT %I* : INT; q AT %Q* : INT; END_VAR VAR_INPUT k : INT; END_VAR "
    "q := i * k; END_FUNCTION_BLOCK VAR_CONFIG Main.a.i AT %IW4 : INT; Main.a.q AT %QW1 : INT; "
    "Main.a.k : INT := 3; END_VAR PROGRAM Main VAR a : F; END_VAR a(); END_PROGRAM "
)
CALLED = (
    "FUNCTION_BLOCK G VAR i AT %I* : INT; END_VAR VAR_OUTPUT o : INT; END_VAR o := i; END_FUNCTION_BLOCK "
    "PROGRAM Other VAR g : G; n : INT; END_VAR VAR_OUTPUT o : INT; END_VAR g(o => o); n := n + 1; "
    "END_PROGRAM VAR_CONFIG Other.g.i AT %IW4 : INT; END_VAR "
    "PROGRAM Main VAR a AT %M* : INT; b : INT; END_VAR Other(o => a); END_PROGRAM "
    "VAR_CONFIG Main.a AT %MW7 : INT; END_VAR "
)


def test_var_config_stands_alone():
    plc = softplc.compile(sources={"a.st": PLACED}, profile="codesys").simulator()
    plc.write("%IW4", 5)
    plc.scan()
    assert plc.read("%QW1") == 15
    assert (plc.read("Main.a.k"), plc.read("Main.a.i")) == (3, 5)


def test_a_program_that_is_only_called_has_its_places():
    plc = softplc.compile(sources={"a.st": CALLED}, profile="codesys").simulator()
    plc.write("%IW4", 5)
    plc.scan(2)
    assert (plc.read("%MW7"), plc.read("Other.n")) == (5, 2)


def test_var_config_outside_is_for_the_configuration():
    text = f"{PLACED}CONFIGURATION C PROGRAM Main : Main; END_CONFIGURATION"
    plc = softplc.compile(sources={"a.st": text}, profile="codesys").simulator()
    plc.write("%IW4", 2)
    plc.scan()
    assert plc.read("%QW1") == 6


def test_what_var_config_lacks_is_told():
    (finding,) = findings(PLACED.replace("Main.a.i AT %IW4 : INT;", ""), "codesys")
    assert finding[:2] == ("ST2045", "Main.a.i has no address: %I* is to be completed by VAR_CONFIG")
    missing, finding = findings(PLACED.replace("Main.a.i", "Mian.a.i"), "codesys")
    assert missing[0] == "ST2045"
    assert finding == ("ST2044", "there is no program instance Mian", "did you mean Main?")
    (finding,) = findings(PLACED, "iec")[:1]
    assert finding[0] == "ST1010"
    assert finding[2] == "VAR_CONFIG stands in a CONFIGURATION"
    with pytest.raises(softplc.CompileError, match="VAR_CONFIG outside of a CONFIGURATION cannot be written"):
        export({"a.st": PLACED}, CODESYS)


def test_the_editor_renames_in_var_config_that_stands_alone():
    analysis = Analysis({"a.st": PLACED}, CODESYS)
    main = next(each for each in analysis.index.found if each.symbol.name == "Main" and each.declares)
    text = renamed(analysis, rename(analysis, main.symbol, "Line"), "Line")["a.st"]
    assert "Line.a.i AT %IW4" in text
    assert "Main" not in text
    names = [each.name for each in outline(analysis.units["a.st"])]
    assert names == ["F", "Main"]
