"""`ironworks console` on the command line."""

import asyncio
import os
import subprocess
import sys

import pytest

from runtime.errors import PlantError


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:

    return subprocess.run(
        [sys.executable, "-m", "runtime.cli", "console", *arguments],
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, **environment, "COLUMNS": "100"},
    )


def test_without_a_plant_it_says_what_to_do(tmp_path):
    done = run("--screenshot", str(tmp_path / "out"), XDG_RUNTIME_DIR=str(tmp_path), IRONWORKS_PLANT="")
    assert done.returncode != 0
    assert "no plant is running" in done.stderr
    assert "ironworks run" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_where_nothing_answers_is_an_error_for_screenshots(tmp_path):
    done = run("--url", "http://127.0.0.1:9", "--screenshot", str(tmp_path / "out"))
    assert done.returncode != 0
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "instead"), [("console", "ironworks watch"), ("demo", "ironworks demo --headless")]
)
def test_without_a_terminal_it_says_what_prints_instead(command, instead, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert done.stdout == "", "no escape sequences into a pipe"
    assert "needs a terminal" in done.stderr
    assert instead in done.stderr


def test_naming_the_command_imports_no_textual():
    code = "import sys, tui.cli; print({'textual', 'httpx', 'numpy'} & sys.modules.keys() or 'light')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=250, check=True
    )
    assert done.stdout.strip() == "light"


def test_an_unknown_language_is_refused_in_words():
    from tui.console import words_for

    with pytest.raises(PlantError, match=r"'de'.*en or zh"):
        words_for("de")


def test_a_console_whose_terminal_went_without_a_word_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from tui.console import _until_quit

    master, slave = os.openpty()
    monkeypatch.setattr(sys, "stdin", os.fdopen(slave))
    ended = asyncio.Event()

    class App:
        exit = ended.set

        async def run_async(self) -> None:
            os.close(master)  # as of a connection that broke, below `su`
            await asyncio.wait_for(ended.wait(), 60)

    asyncio.run(_until_quit(App()))  # type: ignore[arg-type]
