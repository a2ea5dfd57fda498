"""Access paths: VAR_ACCESS of configurations and programs, and the paths that VAR_CONFIG shares with it.

Source: IEC 61131-3:2013, 6.5.6.2, 6.6.4 and 6.8.1, tables 47 and 62.
"""

from __future__ import annotations

from collections.abc import Callable

from softplc.parser.cursor import SyntaxFault
from softplc.parser.declarations import VAR_KEYWORDS, Declarations
from softplc.parser.statements import POU_STARTS
from softplc.syntax import AccessDecl, Expr, PathPart

DIRECTIONS = ("READ_ONLY", "READ_WRITE")
ENDS = ("END_CONFIGURATION", "END_RESOURCE", "VAR_ACCESS", "VAR_CONFIG")


class Paths(Declarations):
    """The part of the parser that reads paths of variables."""

    def _entries(self, entry: Callable[[], None]) -> None:
        """Read the entries of VAR_ACCESS or VAR_CONFIG; after an error go on at the next."""
        self.advance()
        while not self.take_keyword("END_VAR"):
            if self.token.kind == "end" or self.at_keyword(*VAR_KEYWORDS, *POU_STARTS, *ENDS):
                raise self.fail("END_VAR")
            start = self.position
            try:
                entry()
            except SyntaxFault:
                self.skip_to("END_VAR", *VAR_KEYWORDS, *POU_STARTS, *ENDS)
                self.skip_names(start)
        self.take_op(";")

    def _access(self) -> AccessDecl:
        name = self.expect_name("the name of the access path")
        self.expect_op(":")
        path = self._path()
        self.expect_op(":")
        spec = self.spec()
        direction = self.advance().key if self.token.key in DIRECTIONS else DIRECTIONS[0]
        self.semicolon()
        return AccessDecl(name.at, name.end, name.text, path, spec, direction == DIRECTIONS[1])

    def _path(self) -> list[PathPart]:
        """Read `resource.program.block.variable[1]` or `resource.%IX0.0`."""
        parts: list[PathPart] = []
        while True:
            if self.token.kind not in ("direct", "id"):
                raise self.fail("the path of a variable", "write resource.program.variable")
            token = self.advance()
            indices: list[Expr] = []
            if self.take_op("["):
                indices.append(self.expression())
                while self.take_op(","):
                    indices.append(self.expression())
                self.expect_op("]")
            parts.append(PathPart(token.at, token.end, token.text, indices))
            if not self.take_op("."):
                return parts
