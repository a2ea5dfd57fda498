"""Compile in a child process and keep the result: the kernel never compiles.

`python -m softplc.build` reads as JSON from standard input what to compile, compiles it and the scan core,
and writes both to a file; diagnostics go to standard output as JSON. Started `early`, it gets ready before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import ConfigError, Finding, Place, PlantError, StoreError
from softplc import codebase
from softplc.compiler import COMPILERS, EARLY
from softplc.diagnostics import CompileError, Diagnostic

if TYPE_CHECKING:
    from softplc.application import Application

log = logging.getLogger(__name__)
_KEPT = 8
_AGAIN = 2
_DIGEST, _LENGTH = 32, 8
_REFUSED = 3
_FIRST = "PROGRAM First VAR t : TON; END_VAR t(IN := NOT t.Q, PT := T#1s); END_PROGRAM"


@dataclass(frozen=True, slots=True)
class Build:
    """A compiled program and the scan core that runs it.

    Attributes:
        sources, profile: what it was compiled from, for those that tell of it; not in its bytes.
    """

    application: Application
    core_object: bytes
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    profile: str = field(default="iec", compare=False)

    def to_bytes(self) -> bytes:
        program = self.application.to_bytes()
        body = len(program).to_bytes(_LENGTH, "little") + program + self.core_object
        return hashlib.sha256(body).digest() + body

    @classmethod
    def from_bytes(cls, data: bytes) -> Build:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: the data is cut or changed.
        """
        from softplc.application import Application

        body = data[_DIGEST:]
        if hashlib.sha256(body).digest() != data[:_DIGEST]:
            raise ValueError("not a build, or a damaged one")
        end = _LENGTH + int.from_bytes(body[:_LENGTH], "little")
        return cls(Application.from_bytes(body[_LENGTH:end]), body[end:])


def read_sources(folder: Path, patterns: list[str]) -> dict[str, str]:
    """Return the program's files by name relative to the plant folder, in order of name.

    Raises:
        ConfigError: nothing matches, or a file cannot be read.
    """
    try:
        files = sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
    except (ValueError, NotImplementedError, OSError) as exc:
        text = f"{', '.join(patterns)}: {exc}"
        raise ConfigError(
            [Finding(text, Place(folder), "name files of the plant folder, such as plc/*.st")]
        ) from exc
    if not files:
        text = f"no program: nothing matches {', '.join(patterns)}"
        raise ConfigError([Finding(text, Place(folder), "write a program, such as plc/main.st")])
    return {file.relative_to(folder).as_posix(): _text_of(file) for file in files}


def _text_of(file: Path) -> str:
    from runtime.config import read_text  # not for the compiler's process: it takes a quarter of a second
    from softplc.plcopen.xml import decode, is_xml

    if not is_xml(file.name):
        return read_text(file)
    try:
        return decode(file.read_bytes())
    except (OSError, UnicodeDecodeError) as exc:
        text = f"the file cannot be read: {exc}"
        raise ConfigError([Finding(text, Place(file), "export it again, as UTF-8")]) from exc


def build(sources: Mapping[str, str], cache: Path, profile: str = "iec") -> Build:
    """Return the compiled program, from the cache or from a child process. Waits: call it in a thread.

    Raises:
        CompileError: the program is wrong; has every diagnostic.
        StoreError: neither the cache nor a temporary folder can be written.
        PlantError: the compiler itself failed.
    """
    return replace(_built(sources, cache, profile), sources=dict(sources), profile=profile)


def _built(sources: Mapping[str, str], cache: Path, profile: str) -> Build:
    compiler = codebase.digest(codebase.stamp())
    target = cache / f"{_key(compiler, sources, profile)}.plc"
    core = _core_name(compiler)
    bytecode = cache.with_name("bytecode")
    try:
        kept = Build.from_bytes(target.read_bytes())
        with suppress(OSError):  # a folder that may only be read
            os.utime(target)
    except (OSError, ValueError, PlantError):
        pass
    else:
        return kept
    from runtime.config import make_folder  # not for the compiler's process

    try:
        make_folder(cache)
        _compile_in_child(sources, profile, target, core, bytecode)
        made = Build.from_bytes(target.read_bytes())
        _prune(cache)
    except (OSError, StoreError) as exc:  # a cache is no reason not to run
        log.info("%s cannot be used as a cache: %s", cache, exc)
        with tempfile.TemporaryDirectory(prefix="ironworks-plc-") as spare:
            target = Path(spare) / target.name
            _compile_in_child(sources, profile, target, core, bytecode)
            made = Build.from_bytes(target.read_bytes())
    return made


def _compile_in_child(
    sources: Mapping[str, str], profile: str, target: Path, core: str, bytecode: Path
) -> None:
    request = json.dumps({"sources": dict(sources), "profile": profile, "target": str(target), "core": core})
    done = COMPILERS.run(request, bytecode)
    for _ in range(_AGAIN):
        if done.returncode != -signal.SIGKILL:
            break
        log.warning("the compiler was killed: once more")  # says nothing about the program
        done = COMPILERS.run(request, bytecode)
    if done.returncode == -signal.SIGKILL:
        remedy = "free some memory: the system's log says whether it ran out"
        raise PlantError(f"the compiler was killed {1 + _AGAIN} times", remedy)
    if done.returncode not in (0, _REFUSED) and bytecode.is_dir():
        # A full disk cuts files of it short, which Python believes.
        shutil.rmtree(bytecode, ignore_errors=True)
        done = COMPILERS.run(request, bytecode)
    if done.returncode == _REFUSED:
        answer = json.loads(done.stdout)
        if "store" in answer:
            raise StoreError(answer["store"], "check the owner of the folder, and the disk")
        raise CompileError([Diagnostic(**each) for each in answer["diagnostics"]])
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise PlantError(f"the compiler failed (exit code {done.returncode}): {last[0]}", "report this")


def _key(compiler: bytes, sources: Mapping[str, str], profile: str) -> str:
    """Name the result: sources and compiler both change it."""
    return hashlib.sha256(compiler + json.dumps([profile, *sources.items()]).encode()).hexdigest()[:32]


def _prune(cache: Path) -> None:
    """Keep the results used last."""
    files = sorted(cache.glob("*.plc"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[_KEPT:]:
        file.unlink(missing_ok=True)
    for file in sorted(cache.glob("*.core"), key=lambda file: file.stat().st_mtime, reverse=True)[1:]:
        file.unlink(missing_ok=True)
    for file in [*cache.glob("*.plc.*"), *cache.glob("*.core.*")]:
        pid = file.suffix[1:]
        if pid.isdecimal() and not _lives(int(pid)):  # killed while it wrote
            file.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def core_object(cache: Path) -> bytes:
    """Return the scan core, which is the same for all programs: from the cache, or compiled."""
    return _core_object(cache / _core_name(codebase.digest(codebase.stamp())))


def _core_name(compiler: bytes) -> str:
    return f"{_key(compiler, {}, '')}.core"


def _core_object(kept: Path) -> bytes:
    try:
        data = kept.read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data[_DIGEST:]).digest() == data[:_DIGEST]:
        return data[_DIGEST:]
    from softplc.core.loop import emit_core

    code = emit_core()
    _write(kept, hashlib.sha256(code).digest() + code)
    return code


def _write(target: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        part.write_bytes(data)
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _child(early: bool) -> int:
    import softplc

    if early:
        softplc.compile(sources={"": _FIRST})
    text = sys.stdin.read()
    if not text:  # nobody asks any more
        return 0
    asked = json.loads(text)
    target = Path(asked["target"])
    try:
        application = softplc.compile(sources=asked["sources"], profile=asked["profile"])
    except CompileError as exc:
        print(json.dumps({"diagnostics": [asdict(each) for each in exc.diagnostics]}))  # noqa: T201
        return _REFUSED
    try:
        _write(target, Build(application, _core_object(target.parent / asked["core"])).to_bytes())
    except OSError as exc:
        print(json.dumps({"store": f"{target.parent} cannot be written: {exc.strerror}"}))  # noqa: T201
        return _REFUSED
    return 0


if __name__ == "__main__":
    done = _child(sys.argv[1:] == [EARLY])
    sys.stdout.flush()
    os._exit(done)  # somebody waits: nothing is left to be put in order
