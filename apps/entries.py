"""Whether the code that a manifest names is there: told without running any of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib.machinery import all_suffixes
from pathlib import Path

from runtime.errors import Finding, Place


def entry_findings(folder: Path, entry: str, place: Place) -> Iterator[Finding]:
    """Yield what is wrong with `module:name` of an app's folder.

    Args:
        folder: the app's folder.
        entry: what the manifest says.
        place: where it says so.
    """
    module, _, name = entry.partition(":")
    path = folder / module.replace(".", "/")
    file = next(
        (each for each in (path.with_name(f"{path.name}.py"), path / "__init__.py") if each.is_file()), None
    )
    if file is None:
        if not any(path.with_name(path.name + suffix).is_file() for suffix in all_suffixes()):
            text = f"{entry}: there is no {path.relative_to(folder)}.py in {folder}"
            yield Finding(text, place, "entry is module:Class, of a module in the app's folder")
        return
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as exc:
        at = Place(file, exc.lineno or 1, exc.offset or 1)
        yield Finding(f"no valid Python: {exc.msg}", at, f"{entry} cannot be loaded until this is corrected")
        return
    except OSError as exc:
        yield Finding(
            f"cannot be read: {exc.strerror}", Place(file), "check the owner of the file and its rights"
        )
        return
    except (MemoryError, RecursionError):
        yield Finding("no valid Python: nested too deeply", Place(file, 1, 1), "take it apart")
        return
    except ValueError as exc:  # a zero byte
        yield Finding(f"no valid Python: {exc}", Place(file, 1, 1), "write it as UTF-8 text")
        return
    names = set(_bound(tree.body))
    if name not in names and not names & {"*", "__getattr__"}:
        close = get_close_matches(name, names, 1)
        remedy = (
            f"did you mean {module}:{close[0]}?" if close else "define it there, or name another in entry"
        )
        yield Finding(f"{entry}: {file.name} defines no {name}", place, remedy)


def _bound(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements of a module bind, in their branches too; `*` for any."""
    for node in body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.Import() | ast.ImportFrom():
                yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
            case _:
                yield from (
                    each.id
                    for each in ast.walk(node)
                    if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
                )
                for field in ("body", "orelse", "finalbody"):
                    yield from _bound(getattr(node, field, []))
                for handler in (*getattr(node, "handlers", []), *getattr(node, "cases", [])):
                    yield from _bound(handler.body)
