"""Sections checked against their models: pydantic's errors become findings with places and remedies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from runtime.config import models
from runtime.config.positions import Document, load_yaml, locate, shortened
from runtime.errors import ConfigError, Finding

_WANTED = {
    models.FILE: "write the name of a file",
    models.NAME: "use letters, digits, - and _, beginning with a letter",
    models.ALARM: "use letters, digits, - _ and ., beginning with a letter",
    models.HOST: "write a host name such as gw.plant.example, or an address",
    models.ROOT: "write levels joined by /, such as site/area/line, without spaces",
}
_FILES = {"tags": "tags.csv", "alarms": "alarms.yaml"}
_BOUNDS = {
    "greater_than_equal": ("ge", "{} is too small", "{} or more"),
    "greater_than": ("gt", "{} is too small", "more than {}"),
    "less_than_equal": ("le", "{} is too large", "{} or less"),
    "less_than": ("lt", "{} is too large", "less than {}"),
    "too_short": ("min_length", "there are too few", "{} or more"),
    "too_long": ("max_length", "there are too many", "{} or fewer"),
    "string_too_short": ("min_length", "{} is too short", "{} characters or more"),
    "string_too_long": ("max_length", "{} is too long", "{} characters or fewer"),
}
M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], document: Document, *prefix: str | int) -> M:
    """Check one section of a document against its model.

    Raises:
        ConfigError: with every finding of the section.
    """
    data = document.data
    for step in prefix:
        data = data[step]
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        raise ConfigError(list(findings_of(exc, document, prefix, model))) from exc


def load_model(model: type[M], file: Path) -> tuple[M, Document]:
    """Load a YAML file and check it against a model.

    Raises:
        ConfigError: the file is missing, not YAML, or not of the model.
    """
    document = load_yaml(file)
    return validate(model, document), document


def findings_of(
    error: ValidationError, document: Document, prefix: tuple[str | int, ...], model: type[BaseModel]
) -> Iterator[Finding]:
    """Turn pydantic's errors into findings with places and remedies."""
    data = document.data
    for step in prefix:
        data = data[step]
    for each in error.errors(include_url=False):
        location = locate(each["loc"], data)
        place = document.place(*prefix, *location)
        name = str(each["loc"][-1]) if each["loc"] else ""
        is_key = name == "[key]"
        whole = prefix[-2:] if prefix and isinstance(prefix[-1], int) else prefix[-1:]  # drivers.0
        what = ".".join(map(str, each["loc"][: -2 if is_key else None] or whole))
        if each["type"] == "missing":
            yield Finding(f"{name!r} is missing", place, f"add {name}: to this section")
        elif each["type"] == "extra_forbidden":
            fields = _model_at(model, each["loc"][:-1]).model_fields
            known = [field.alias or key for key, field in fields.items()]
            close = get_close_matches(name, known, 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            yield Finding(f"unknown key {name!r}", place, remedy)
        else:
            field = _model_at(model, each["loc"][:-1]).model_fields.get(name)
            lasts = field is not None and any(
                getattr(each, "func", None) is models.parse_duration_ns for each in field.metadata
            )
            value = each["input"] if is_key else reduce(getitem, location, data)
            text, remedy = _told(each, name, value, lasts=lasts)
            yield Finding(f"{what}: {text}" if what else text, place, remedy)


def _told(error: Mapping[str, Any], name: str, value: Any, *, lasts: bool) -> tuple[str, str]:
    """Return what is wrong with a value as it was written, and what to write instead.

    `lasts`: it is a duration; 0 is one without a unit.
    """
    kind, context = error["type"], error.get("ctx", {})
    found = shortened(value)
    if kind in _BOUNDS:
        return _beyond(kind, value, context, lasts=lasts)
    match kind:
        case "model_type" | "dict_type":
            return "keys and values belong here", "write `key: value` lines below it"
        case _ if value is None:
            return "there is nothing", "write a value behind it, or remove the line"
        case "list_type" | "tuple_type":
            is_section = isinstance(value, dict)
            return "a list belongs here", "begin each entry with `- `" if is_section else f"write [{value}]"
        case "string_type" if isinstance(value, list | dict):
            if file := _FILES.get(name):
                return "the name of a file belongs here", f"write them into {file}, and here `{name}: {file}`"
            return "one text belongs here", "write it in one line"
        case "string_type":
            return f"{found} is no text", "put it into quotes"
        case "string_pattern_mismatch":
            pattern = context["pattern"]
            return f"{found} is not possible here", _WANTED.get(pattern, f"it must match {pattern}")
        case "int_type" | "int_parsing" | "int_from_float":
            return f"{found} is no whole number", "write digits only"
        case "float_type" | "float_parsing":
            return f"{found} is no number", "write digits, with a point for decimals"
        case "finite_number":
            return f"{found} is no finite number", "write digits, or leave it out"
        case "bool_type" | "bool_parsing":
            return f"{found} is neither true nor false", "write true or false"
        case "literal_error":
            known = [each.strip("'") for each in context["expected"].replace(" or ", ", ").split(", ")]
            close = get_close_matches(str(value), known, 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"use {context['expected']}"
            return f"{found} is not possible here", remedy
    text, _, remedy = error["msg"].removeprefix("Value error, ").partition("; ")
    return text, remedy or f"found {found}"


def _beyond(kind: str, value: object, context: Mapping[str, Any], *, lasts: bool) -> tuple[str, str]:
    key, said, wanted = _BOUNDS[kind]
    limit = context[key]
    if lasts or models.is_duration(value):
        limit = models.format_duration(int(limit))
    return said.format(shortened(value)), f"write {wanted.format(limit)}"


def _model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel]:
    """Return the model that a key of the location belongs to."""
    for step in location:
        field = model.model_fields.get(step if isinstance(step, str) else "root")
        inner = next(_models_in(field.annotation), None) if field else None
        if inner is not None:
            model = inner
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models_in(each)
