"""ST2006: initial values, limits and lengths are constant expressions, or REF of what is always there.

Accepted: VAR CONSTANT n : INT := 3; END_VAR VAR a : ARRAY[1..n] OF INT; x : INT := n * 2; r : REF_TO INT :=
    REF(x); END_VAR
Rejected: VAR n : INT; x : INT := n + 1; END_VAR
In profile codesys what is made anew in each call begins with any value.
Source: IEC 61131-3:2013, 6.5.1.2 and 6.4.4.10.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import Array, BlockType, Struct
from softplc.links import referred
from softplc.profiles import current
from softplc.rules.context import Constant, Context
from softplc.symbols import Variable
from softplc.syntax import Binary, Deref, Expr, Index, Member, Name

ON = (Constant,)


def check(use: Constant, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a value that is only known at run time."""
    value = use.value
    target = referred(value)
    if target is not None:
        why = _moving(target, use, context)
        if why:
            yield context.error("ST2006", f"{use.what} refers to {why}", value, "assign it in the body")
        return
    if value.value is not None or isinstance(value.type, Array | Struct | BlockType):
        return
    if value.type is None and not _comes_later(value):
        return
    declared = context.declared
    anew = declared is not None and declared.temporary and not declared.constant and current().objects
    if anew and declared is not None and declared.decl is not None and declared.decl.init is value:
        return
    remedy = "use literals and VAR CONSTANT"
    yield context.error("ST2006", f"{use.what} must be a constant expression", value, remedy)


def _comes_later(value: Expr) -> bool:
    """Tell whether a value has no type because it names a variable that is declared behind it."""
    if isinstance(value, Binary):
        return _comes_later(value.left) or _comes_later(value.right)
    if not isinstance(value, Name) or value.type is not None:
        return False
    return isinstance(value.ref, Variable) and value.ref.type is not None


def _moving(target: Expr, use: Constant, context: Context) -> str:
    """Return why a reference cannot have this target from the start, or nothing."""
    node = target
    while isinstance(node, Member | Index):
        if isinstance(node, Index) and any(each.value is None for each in node.indices):
            return "an element that is only known at run time"
        node = node.base
    if isinstance(node, Deref):
        return "what another reference refers to"
    if not isinstance(node, Name) or not isinstance(node.ref, Variable):
        return ""  # told as a name
    variable, declared = node.ref.end_of_chain, context.declared
    if variable.pou is None or declared is None:
        return ""
    direct = declared.decl is not None and declared.decl.init is use.value
    if declared.temporary:
        return "" if direct else f"{variable.name} from inside of a temporary variable"
    return f"{variable.name} for an input" if declared.pou is not None and declared.pou.on_stack else ""
