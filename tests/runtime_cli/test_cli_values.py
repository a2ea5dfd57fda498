"""`ironworks watch` at a terminal: the live table."""

import asyncio
from typing import Any

import pytest

from runtime.cli.values import _table
from runtime.contract import Quality
from runtime.wire import TagView, Values


def _view(id_: int, path: str, type_: str, unit: str, value: Any) -> TagView:
    return TagView(
        id=id_, path=path, type=type_, unit=unit, unit_text=unit, low=None, high=None, description="",
        description_zh="", access="r", source="plc", device="", address="", variable="", role="viewer",
        interlock=None, value=value, quality=0, quality_text="Good", source_ns=1,
    )  # fmt: skip


class _Client:
    """Streams what it is given, then ends."""

    def __init__(self, *messages: Values) -> None:
        self.messages = messages

    async def stream(self, *_: Any, **__: Any) -> Any:
        for message in self.messages:
            yield message


def test_brackets_of_texts_and_units_are_shown_and_quality_is_a_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    views = [
        _view(0, "a/batch", "STRING", "", "[ok]"),
        _view(1, "a/state", "STRING", "", "[/b]"),
        _view(2, "a/temperature", "REAL", "[degF]", 70.0),
        _view(3, "a/flow", "REAL", "L/min", 5.0),
    ]
    silent = Values(((2, None, int(Quality.BAD_NO_COMMUNICATION), 2), (3, None, 0x8000_0000, 2)))
    client: Any = _Client(silent, Values(((2, 71.0, 0, 3),)))
    asyncio.run(_table(client, ["a/*"], {view.id: view for view in views}, 200))
    shown = {line.split()[0]: line.split()[1:4] for line in capsys.readouterr().out.splitlines()}
    assert shown["a/batch"][0] == "[ok]"
    assert shown["a/state"][0] == "[/b]"
    assert shown["a/temperature"] == ["71", "[degF]", "Good"]
    assert shown["a/flow"][1] == "Bad"


def test_a_value_that_is_no_number_is_told_as_that(capsys: pytest.CaptureFixture[str]) -> None:
    views = [_view(0, "a/ratio", "LREAL", "bar", 1.5), _view(1, "a/flow", "REAL", "bar", 1.5)]
    client: Any = _Client(Values(((0, None, 0, 2), (1, None, int(Quality.BAD_SENSOR_FAILURE), 2))))
    asyncio.run(_table(client, ["a/*"], {view.id: view for view in views}, 200))
    shown = {line.split()[0]: line.split()[1:4] for line in capsys.readouterr().out.splitlines()}
    assert shown["a/ratio"] == ["no", "number", "Good"]
    assert shown["a/flow"][:2] == ["-", "BadSensorFailure"]
