"""Runs a model: one thread, no spinning, and only if it answers its golden vectors as it did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from apps.errors import ModelError
from apps.models.registry import GOLDEN_FILE, MODEL_FILE, Card, Golden, check_files, read_golden

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TOLERANCE = 1e-6
Arrays = Mapping[str, NDArray[np.float64]]


class Model:
    """A verified model. Inputs and outputs are rows of doubles, shape (1, n)."""

    def __init__(self, card: Card, session: InferenceSession) -> None:
        self.card = card
        self._session = session
        self._outputs = [each.name for each in session.get_outputs()]

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float64]]:
        """Return the outputs by name."""
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))


def open_session(model: bytes) -> InferenceSession:
    """Open an ONNX graph.

    Raises:
        ModelError: it is none that this onnxruntime runs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        text = f"onnxruntime {onnxruntime.__version__} does not run the model: {exc}"
        raise ModelError(text, "make it anew: ironworks app fit NAME") from exc


def load_model(folder: Path | None) -> Model:
    """Load and verify a model.

    Raises:
        ModelError: it is missing, changed, or answers otherwise than its golden vectors say.
    """
    card = None if folder is None else check_files(folder)
    if folder is None or card is None:
        raise ModelError("the app has no model yet", "make one: ironworks app fit NAME")
    model = Model(card, open_session((folder / MODEL_FILE).read_bytes()))
    verify(model, read_golden(folder), folder / GOLDEN_FILE)
    return model


def verify(model: Model, golden: list[Golden], file: Path | str) -> float:
    """Ask every golden question; return the greatest relative deviation.

    Raises:
        ModelError: an answer deviates.
    """
    worst = 0.0
    for index, each in enumerate(golden):
        try:
            answer = model.run({name: np.array([row], np.float64) for name, row in each.inputs.items()})
        except Exception as exc:
            text = f"{file}: vector {index} cannot be asked: {exc}"
            raise ModelError(text, "make golden vectors of the model's own inputs") from exc
        for name, expected in each.outputs.items():
            wanted = np.array([expected], np.float64)
            if name not in answer or answer[name].shape != wanted.shape:
                raise ModelError(f"{file}: the model has no output {name!r} of {len(expected)} values")
            deviation = float(np.max(np.abs(answer[name] - wanted) / np.maximum(1.0, np.abs(wanted))))
            worst = max(worst, deviation)
            if not deviation <= TOLERANCE:
                raise ModelError(
                    f"{file}: vector {index}: {name} is {answer[name][0].tolist()}, expected {expected}",
                    "this machine computes otherwise than the one that made the model; fit it anew here",
                )
    return worst
