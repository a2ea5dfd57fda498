"""The detector: multivariate EWMA of standardised features, speed regressed out, as an ONNX graph.

    u = (x - mean - C b(v)) / (sd (v/v0)^p)      b(v) = (v/v0 - 1, v0/v - 1)
    z = (1 - smoothing) z_prev + smoothing u
    t2 = z' S^-1 z

S is the covariance of z itself in normal hours, not smoothing / (2 - smoothing) times that of u as for
independent cycles: real machines wander (temperature, batches), and z then varies more along what wanders.

Source: Lowry, Woodall, Champ, Rigdon, A multivariate exponentially weighted moving average control
chart, Technometrics 34 (1992) 46-53; contributions: Mason, Tracy, Young, Decomposition of T² for
multivariate control chart interpretation, Journal of Quality Technology 27 (1995) 99-108 (the part of T²
that a feature adds given all others, here with the sign of its deviation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
OPSET = 17
IR_VERSION = 8


@dataclass(frozen=True)
class Detector:
    """What the graph is made of; k features.

    Attributes:
        mean, sd: of the features at the reference speed, after speed, shape (k,).
        coefficients: C, how they depend on speed, shape (2, k).
        power: p, how their spread does, shape (k,).
        speed: v0.
        smoothing: weight of the newest cycle.
        covariance: S, of z, shape (k, k).
    """

    mean: Array
    sd: Array
    coefficients: Array
    power: Array
    speed: float
    smoothing: float
    covariance: Array

    def standardise(self, x: Array, speed: Array) -> Array:
        """Return u of n cycles, shape (n, k)."""
        spread = self.sd * (speed[:, None] / self.speed) ** self.power
        return np.asarray((x - self.mean - basis(speed, self.speed) @ self.coefficients) / spread)

    def t2(self, z: Array) -> Array:
        """Return the statistic of n states, shape (n,)."""
        return np.asarray(np.einsum("ij,jk,ik->i", z, np.linalg.inv(self.covariance), z))

    def graph(self) -> bytes:
        """Return the detector as an ONNX model: (x, given, z_prev) to (z, t2, contributions)."""
        from onnx import TensorProto, checker, helper, numpy_helper

        precision = np.linalg.inv(self.covariance)
        constants: dict[str, Any] = {
            "one": [[1.0]],
            "speed": [[self.speed]],
            "C": self.coefficients,
            "mean": [self.mean],
            "sd": [self.sd],
            "power": [self.power],
            "keep": [[1 - self.smoothing]],
            "take": [[self.smoothing]],
            "precision": precision,
            "own": [1 / np.diag(precision)],
        }
        node = helper.make_node
        nodes = [
            node("Div", ["given", "speed"], ["ratio"]),
            node("Sub", ["ratio", "one"], ["faster"]),
            node("Div", ["one", "ratio"], ["inverse"]),
            node("Sub", ["inverse", "one"], ["slower"]),
            node("Concat", ["faster", "slower"], ["basis"], axis=1),
            node("MatMul", ["basis", "C"], ["by_speed"]),
            node("Sub", ["x", "mean"], ["centred"]),
            node("Sub", ["centred", "by_speed"], ["residual"]),
            node("Pow", ["ratio", "power"], ["wider"]),
            node("Mul", ["sd", "wider"], ["spread"]),
            node("Div", ["residual", "spread"], ["u"]),
            node("Mul", ["z_prev", "keep"], ["old"]),
            node("Mul", ["u", "take"], ["new"]),
            node("Add", ["old", "new"], ["z"]),
            node("MatMul", ["z", "precision"], ["y"]),
            node("Mul", ["z", "y"], ["parts"]),
            node("ReduceSum", ["parts", "axis"], ["t2"], keepdims=1),
            node("Abs", ["y"], ["size"]),
            node("Mul", ["y", "size"], ["square"]),
            node("Mul", ["square", "own"], ["contributions"]),
        ]
        k = len(self.mean)

        def row(name: str, width: int) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.DOUBLE, [1, width])

        initializers = [
            numpy_helper.from_array(np.asarray(value, np.float64), name) for name, value in constants.items()
        ]
        initializers.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
        graph = helper.make_graph(
            nodes,
            "mewma",
            [row("x", k), row("given", 1), row("z_prev", k)],
            [row("z", k), row("t2", 1), row("contributions", k)],
            initializers,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def basis(speed: Array, reference: float) -> Array:
    """Return b(v) of n speeds, shape (n, 2)."""
    ratio = np.asarray(speed, np.float64) / reference
    return np.stack([ratio - 1, 1 / ratio - 1], axis=-1)


def ewma(u: Array, smoothing: float) -> Array:
    """Return z of n cycles that follow each other, from zero, shape (n, k)."""
    z = np.empty_like(u)
    state = np.zeros(u.shape[1])
    for index, row in enumerate(u):
        state = state + smoothing * (row - state)
        z[index] = state
    return z
