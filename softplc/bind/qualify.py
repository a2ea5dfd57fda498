"""Qualified names: `N.x` in an expression becomes one name, where N is a namespace.

Under the profile codesys N may also be a list of global variables: the name of their file.

After this step a dot in an expression leads to a member, and a name may hold dots.
"""

from __future__ import annotations

from collections.abc import Collection

from softplc.bind.scope import Scope
from softplc.syntax import Expr, Index, Member, Name, Node, PouDecl, inner


def qualify(node: Node, scope: Scope, variables: Collection[str]) -> None:
    """Rewrite everything below a node; what is named like a variable is no namespace."""
    if scope.project.spaces or scope.project.lists:
        _Qualifier(scope, variables).fields(node)


def without_owner(node: Expr, owners: Collection[str], scope: Scope) -> Expr:
    """Return `resource.x` as `x`; a global of the resource is not what `configuration.x` means."""
    if isinstance(node, Member | Index):
        node.base = without_owner(node.base, owners, scope)
    if not isinstance(node, Member) or not isinstance(node.base, Name):
        return node
    owned = node.base.name.casefold() in owners and scope.lookup(node.base.name) is None
    variable = scope.variable(node.name) if owned else None
    if variable is None or variable.resource not in ("", node.base.name.casefold()):
        return node
    return Name(node.at, node.end, node.name)


class _Qualifier:
    def __init__(self, scope: Scope, variables: Collection[str]) -> None:
        self.scope = scope
        self.variables = variables

    def fields(self, node: Node) -> None:
        for name in inner(node):
            value = getattr(node, name)
            if isinstance(value, Node | list | tuple):
                setattr(node, name, self.changed(value))

    def changed(self, value: object) -> object:
        if isinstance(value, list):
            value[:] = [self.changed(each) for each in value]
        elif isinstance(value, tuple):
            return tuple(self.changed(each) for each in value)
        elif isinstance(value, Member):
            return self._member(value)
        elif isinstance(value, Node) and not (isinstance(value, PouDecl) and value.kind == "METHOD"):
            self.fields(value)
        return value

    def _member(self, node: Member) -> Name | Member:
        """Return the name that a chain of members begins with, and the rest of them."""
        base = node.base
        if isinstance(base, Member):
            base = node.base = self._member(base)
        if not isinstance(base, Name):
            self.fields(node)
            return node
        key = base.name.casefold()
        if key in self.variables:
            return node
        if node.name.casefold() in self.scope.project.lists.get(key, ()):
            return Name(node.at, node.end, node.name)
        if self.scope.namespace(base.name) is None:
            return node
        return Name(node.at, node.end, f"{base.name}.{node.name}")
