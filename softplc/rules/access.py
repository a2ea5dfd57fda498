"""ST2024: a method is called only from where its access specifier lets it be seen.

Accepted: CLASS A METHOD PUBLIC m END_METHOD END_CLASS PROGRAM P VAR a : A; END_VAR a.m(); END_PROGRAM
Rejected: CLASS A METHOD PRIVATE m END_METHOD END_CLASS PROGRAM P VAR a : A; END_VAR a.m(); END_PROGRAM
Source: IEC 61131-3:2013, 6.6.5.9; without a specifier a method is PROTECTED.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.properties import shown
from softplc.diagnostics import Diagnostic
from softplc.rules.context import Context
from softplc.spaces import within
from softplc.syntax import Call

ON = (Call,)


def check(node: Call, context: Context) -> Iterator[Diagnostic]:
    """Yield a finding for a call from outside."""
    binding = node.binding
    method = binding.pou if binding is not None else None
    if method is None or method.owner is None or method.owner.kind == "INTERFACE":
        return
    access = method.decl.access
    if any(each.find_method(method.decl.name) for each in method.owner.all_interfaces()):
        return  # what an interface has is public
    owner = context.scope.owner
    inside = owner is not None and (
        owner is method.owner or (access != "PRIVATE" and owner.offers(method.owner))
    )
    if access == "INTERNAL":
        here = context.scope.space.name.casefold()
        inside = within(here, method.owner.decl.space.name.casefold())
    if access != "PUBLIC" and not inside:
        kind = "PROPERTY" if "$" in method.decl.name else "METHOD"
        message = f"{shown(method.name)} is {access}: it cannot be called from here"
        yield context.error(
            "ST2024", message, node.callee, f"declare {kind} PUBLIC {shown(method.decl.name)}"
        )
