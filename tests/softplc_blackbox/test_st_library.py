"""Every conversion and every typed function compiles and runs; those that do not exist are refused."""

import softplc

KINDS = {
    "bool": ["BOOL"],
    "bits": ["BYTE", "WORD", "DWORD", "LWORD"],
    "whole": ["SINT", "INT", "DINT", "LINT", "USINT", "UINT", "UDINT", "ULINT"],
    "real": ["REAL", "LREAL"],
    "time": ["TIME", "LTIME"],
    "date": ["DATE", "LDATE"],
    "tod": ["TOD", "LTOD"],
    "dt": ["DT", "LDT"],
    "char": ["CHAR", "WCHAR"],
    "text": ["STRING", "WSTRING"],
}
KIND = {type_: kind for kind, types in KINDS.items() for type_ in types}
NUMBERS, MOMENTS = {"bool", "bits", "whole", "real"}, {"time", "date", "tod", "dt"}
TYPED = {  # parameters: T is the type, BOOL and DINT are themselves
    ("whole", "real"): {"ADD": "TTT", "SUB": "TT", "MUL": "TTT", "DIV": "TT", "ABS": "T"},
    ("whole",): {"MOD": "TT"},
    ("real",): dict.fromkeys(["SQRT", "LN", "LOG", "EXP", "SIN", "COS", "TAN", "ASIN", "ACOS", "ATAN"], "T")
    | {"ATAN2": "TT", "EXPT": "TT", "IS_VALID": "T"},
    ("bool", "bits"): {"AND": "TTT", "OR": "TTT", "XOR": "TTT", "NOT": "T", "IS_VALID_BCD": "T"}
    | dict.fromkeys(["SHL", "SHR", "ROL", "ROR"], "TD"),
    tuple(KINDS): {"MOVE": "T", "SEL": "BTT", "MUX": "DTT", "MAX": "TTT", "MIN": "TTT", "LIMIT": "TTT"}
    | {"GT": "TTT", "GE": "TTT", "EQ": "TTT", "LE": "TTT", "LT": "TTT", "NE": "TT"},
    ("text",): {"LEN": "T", "LEFT": "TD", "RIGHT": "TD", "MID": "TDD", "CONCAT": "TTT", "INSERT": "TTD"}
    | {"DELETE": "TDD", "REPLACE": "TTDD", "FIND": "TT"},
    tuple(kind for kind in KINDS if kind != "text"): dict.fromkeys(
        ["TO_BIG_ENDIAN", "TO_LITTLE_ENDIAN", "BIG_ENDIAN_TO", "LITTLE_ENDIAN_TO"], "T"
    ),
}
DECLARATIONS = "".join(f"v_{type_} : {type_}; " for type_ in KIND) + "one : DINT := 1;"


def exists(source, target):
    a, b = KIND[source], KIND[target]
    if a == b or "text" in (a, b) or (a == "dt" and b in ("date", "tod")):
        return True
    if "char" in (a, b):
        return {a, b} <= {"char", "bits", "whole"}
    if MOMENTS & {a, b}:
        return len(MOMENTS & {a, b}) == 1 and "bool" not in (a, b)
    return {a, b} <= NUMBERS


def run(body):
    source = f"PROGRAM Main VAR {DECLARATIONS} END_VAR {body} END_PROGRAM"
    simulator = softplc.compile(sources={"x.st": source}).simulator()
    simulator.scan()
    return simulator


def test_every_conversion_runs():
    pairs = [(a, b) for a in KIND for b in KIND if exists(a, b)]
    overloaded = [(a, b) for a, b in pairs if a in ("INT", "LREAL", "TIME", "WSTRING")]
    calls = [f"v_{b} := {a}_TO_{b}(v_{a});" for a, b in pairs] + [
        f"v_{b} := TO_{b}(v_{a});" for a, b in overloaded
    ]
    run("\n".join(calls))


def test_other_conversions_are_refused():
    pairs = [(a, b) for a in KIND for b in KIND if not exists(a, b)]
    body = "\n".join(f"v_{b} := {a}_TO_{b}(v_{a}); v_{b} := TO_{b}(v_{a});" for a, b in pairs)
    found = softplc.check(sources={"x.st": f"PROGRAM Main VAR {DECLARATIONS} END_VAR {body} END_PROGRAM"})
    assert [each.code for each in found] == ["ST4001", "ST4005"] * len(pairs)


def test_every_typed_function_runs_and_is_of_its_type():
    calls = []
    for kinds, functions in TYPED.items():
        for type_ in (each for kind in kinds for each in KINDS[kind]):
            for name, parameters in functions.items():
                given = {"T": f"v_{type_}", "B": "v_BOOL", "D": "one"}
                if parameters == "TT" and name in ("DIV", "MOD") and KIND[type_] == "whole":
                    given["T"] = f"TO_{type_}(one)"
                arguments = ", ".join(given[each] for each in parameters)
                calls.append(f"v_STRING := TO_STRING({name}_{type_}({arguments}));")
    assert len(calls) > 500
    run("\n".join(calls))
