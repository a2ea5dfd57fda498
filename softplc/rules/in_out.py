"""ST4009: the variable for a VAR_IN_OUT or ARRAY[*] has exactly the parameter's type.

Accepted: FUNCTION_BLOCK B VAR_IN_OUT x : INT; END_VAR x := 1; END_FUNCTION_BLOCK PROGRAM P VAR b : B; i
    : INT; END_VAR b(x := i); END_PROGRAM
Rejected: FUNCTION_BLOCK B VAR_IN_OUT x : INT; END_VAR x := 1; END_FUNCTION_BLOCK PROGRAM P VAR b : B; i
    : DINT; END_VAR b(x := i); END_PROGRAM
Source: IEC 61131-3:2013, 6.6.1.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BlockType, OpenArray, String, same
from softplc.rules.context import Context
from softplc.syntax import Call

ON = (Call,)


def check(node: Call, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a variable of another type."""
    for parameter, argument in node.binding.inputs if node.binding else ():
        wanted, given = parameter.type, argument.type
        if not parameter.by_reference or wanted is None or given is None or same(wanted, given):
            continue
        if isinstance(wanted, BlockType) and isinstance(given, BlockType) and given.pou.offers(wanted.pou):
            continue  # an instance of an heir
        if isinstance(wanted, OpenArray) and wanted.takes(given):
            continue
        if isinstance(wanted, String) and isinstance(given, String) and wanted.wide == given.wide:
            continue  # a string carries its own capacity
        message = f"{parameter.name} needs a variable of {wanted}, not {given}"
        yield context.error(
            "ST4009", message, argument, "it is handed over as it lies: there is no conversion"
        )
