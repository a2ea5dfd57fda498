"""A model folder: `model.onnx`, `golden.json` with expected outputs, `card.json` with hashes and origin."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from apps.errors import ModelError

MODEL_FILE = "model.onnx"
GOLDEN_FILE = "golden.json"
CARD_FILE = "card.json"
Vector = list[float]
_REMEDY = "restore it, or make the model anew: ironworks app fit NAME"


class Golden(Struct, frozen=True):
    """One question to the model and its answer; arrays as flat rows, shape (1, n) each."""

    inputs: dict[str, Vector]
    outputs: dict[str, Vector]


class Card(Struct, frozen=True):
    """Where a model comes from.

    Attributes:
        source: `virtual` (plant played in virtual time) or `history` (of the running plant).
        start_ns, end_ns: time span of the data.
        samples: rows that the model was fitted on.
        parameters: the app's when it was fitted.
        facts: what the app's own fit says (features, means, covariance, limit, figures on held-out data).
        libraries: versions that made it.
        sha256: file name to content hash.
    """

    app: str
    app_version: str
    plant: str
    source: str
    start_ns: int
    end_ns: int
    samples: int
    parameters: dict[str, Any]
    facts: dict[str, Any]
    libraries: dict[str, str]
    sha256: dict[str, str]


def read_card(folder: Path) -> Card:
    """Read a model's card.

    Raises:
        ModelError: it is missing or is none.
    """
    file = folder / CARD_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Card)
    except FileNotFoundError as exc:
        raise ModelError(f"there is no model in {folder}", "make one: ironworks app fit NAME") from exc
    except (OSError, msgspec.DecodeError) as exc:
        raise ModelError(f"{file} cannot be read: {exc}", _REMEDY) from exc


def check_files(folder: Path) -> Card | None:
    """Return the card of a model whose files are as they were written; None when there is no model.

    Raises:
        ModelError: a file is missing or changed.
    """
    try:
        if not (folder / CARD_FILE).is_file():
            return None
    except OSError as exc:
        remedy = "check the owner of the folder and its rights"
        raise ModelError(f"{folder} cannot be read: {exc.strerror}", remedy) from exc
    card = read_card(folder)
    for name in (MODEL_FILE, GOLDEN_FILE):
        try:
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as exc:
            raise ModelError(f"{folder / name} cannot be read: {exc.strerror}", _REMEDY) from exc
        if digest != card.sha256.get(name):
            raise ModelError(f"{folder / name} is not the file that the card was written for", _REMEDY)
    return card


def read_golden(folder: Path) -> list[Golden]:
    """Read the golden vectors of a model.

    Raises:
        ModelError: they are damaged.
    """
    try:
        return msgspec.json.decode((folder / GOLDEN_FILE).read_bytes(), type=list[Golden])
    except (OSError, msgspec.DecodeError) as exc:
        raise ModelError(f"{folder / GOLDEN_FILE} cannot be read: {exc}", _REMEDY) from exc


def write_model(folder: Path, model: bytes, golden: list[Golden], card: Card) -> Card:
    """Write a model folder; the card comes last, so that a half-written model is found out.

    Raises:
        ModelError: the folder cannot be written, or what is to be written is no model.
    """
    try:
        vectors = msgspec.json.format(msgspec.json.encode(golden), indent=1) + b"\n"
        files = {MODEL_FILE: model, GOLDEN_FILE: vectors}
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        card = msgspec.structs.replace(card, sha256=hashes)
        files[CARD_FILE] = msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
        msgspec.json.decode(vectors, type=list[Golden])
        msgspec.json.decode(files[CARD_FILE], type=Card)
    except (TypeError, msgspec.ValidationError) as exc:
        remedy = "a model is bytes, golden vectors are lists of float, facts have Python's own types"
        raise ModelError(f"the model cannot be written: {exc}", remedy) from exc
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            draft = folder / f"{name}.new"
            draft.write_bytes(content)
            draft.replace(folder / name)
    except OSError as exc:
        raise ModelError(f"{folder} cannot be written: {exc.strerror}", "give it room and rights") from exc
    return card
