"""Both languages say everything, and say it with the same blanks to fill in."""

import string
from pathlib import Path

import pytest

import tui
from runtime.alarms.states import Trigger
from runtime.language import language_of
from runtime.wire import Text
from tui.locale import LANGUAGES, Words


def test_all_languages_have_the_same_texts():
    english = LANGUAGES["en"]
    for texts in LANGUAGES.values():
        assert texts.keys() == english.keys()
        assert all(texts.values())


@pytest.mark.parametrize("key", sorted(LANGUAGES["en"]))
def test_texts_have_the_same_placeholders(key):
    placeholders = {
        name: {field for _, field, _, _ in string.Formatter().parse(texts[key]) if field}
        for name, texts in LANGUAGES.items()
    }
    assert placeholders["zh"] == placeholders["en"]


def test_every_text_is_used():
    code = "\n".join(
        file.read_text(encoding="utf-8")
        for file in Path(tui.__file__).parent.rglob("*.py")
        if file.parent.name != "locale"
    )
    made = (
        "nav.", "role.", "priority.", "alarm.", "equipment.", "component.", "trend.", "quality.",
        "help.mark.", "mode.", "write.wanted.", "transition.",
    )  # fmt: skip
    unused = [
        key
        for key in LANGUAGES["en"]
        if f'"{key}"' not in code.replace("'", '"') and not key.startswith(made)
    ]
    assert unused == []


def test_every_transition_has_a_word():
    assert {f"transition.{each.value}" for each in Trigger} == {
        key for key in LANGUAGES["en"] if key.startswith("transition.")
    }


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
    ],
)
def test_language_follows_the_terminal(environment, language):
    assert language_of(environment) == language


def test_plant_texts_fall_back_to_english():
    assert Words("zh").pick(Text("Torque high", "扭矩高")) == "扭矩高"
    assert Words("zh").pick(Text("Torque high")) == "Torque high"
    assert Words("zh").other() == Words("en")
