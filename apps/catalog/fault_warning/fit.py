"""Makes the detector from normal history: fitted on the first two thirds, judged on the last."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.errors import FitError
from apps.fitting import Fitted, History
from apps.models.onnx import open_session
from apps.models.registry import Golden
from apps.sdk import Context

from .cycles import Cycles, Moment
from .mewma import Array, Detector, basis, ewma

FIT_SHARE = 2 / 3
LEAST_MEMORIES = 40
BLOCK_MEMORIES = 10
LEAST_BLOCKS = 6
LARGEST_CONDITION = 1e6
RIDGE = 0.01
STEADY_SPEED = 0.005
SPEED_MARGIN = 0.02
HOUR_NS = 3_600_000_000_000
GOLDEN = 8


def fit(history: History, context: Context) -> Fitted:
    """Return the fitted model.

    Raises:
        FitError: too little normal running, a constant signal, or signals that say the same.
    """
    parameters = context.parameters
    names = Cycles(parameters).features
    smoothing = float(str(parameters["smoothing"]))
    left_out: list[str] = []
    x, speed, at_ns = _cycles(history, context, left_out)
    split = int(len(x) * FIT_SHARE)
    least = round(LEAST_MEMORIES / smoothing / FIT_SHARE)
    if len(x) < least:
        left_out += [f"times around {why}" for why in sorted({each.why for each in history.excluded})]
        raise FitError(
            f"{len(x)} cycles of normal running are too few; {least} are needed"
            + (f" (left out: {', '.join(left_out)})" if left_out else ""),
            "take a longer time, or raise the parameter smoothing",
        )
    notes: list[str] = []
    detector = _detector(names, x[:split], speed[:split], smoothing, notes)
    z = ewma(detector.standardise(x, speed), smoothing)
    t2 = detector.t2(z)
    running_ns = _running_ns(at_ns)
    cycle_ns = running_ns / len(x)
    every_ns = int(str(parameters["false_alarm_every"]))
    limit = _limit(t2[:split], len(names), smoothing, every_ns / cycle_ns, notes)
    held_out = t2[split:]
    warnings = _warnings(
        held_out, limit, int(str(parameters["raise_count"])), int(str(parameters["of_last"]))
    )
    hours = len(held_out) * cycle_ns / HOUR_NS
    if warnings:
        notes.append(f"{warnings} false alarms in the {hours:.1f} h held out: take a longer or calmer time")
    report: dict[str, Any] = {
        "cycles_fit": split,
        "cycles_held_out": len(held_out),
        "hours_held_out": round(hours, 3),
        "above_limit_held_out": round(float(np.mean(held_out > limit)), 6),
        "false_alarms_held_out": warnings,
        "t2_mean_fit": round(float(t2[:split].mean()), 4),
        "t2_mean_held_out": round(float(held_out.mean()), 4),
        "t2_highest": round(float(t2.max()), 4),
    }
    low, high = float(speed[:split].min()), float(speed[:split].max())
    facts: dict[str, Any] = {
        "features": [
            {
                "path": name,
                "mean": float(detector.mean[index]),
                "sd": float(detector.sd[index]),
                "by_speed": detector.coefficients[:, index].tolist(),
                "spread_power": float(detector.power[index]),
            }
            for index, name in enumerate(names)
        ],
        "speed": detector.speed,
        "speed_range": [low * (1 - SPEED_MARGIN), high * (1 + SPEED_MARGIN)],
        "smoothing": smoothing,
        "covariance": detector.covariance.tolist(),
        "limit": limit,
        "report": report,
        "notes": notes,
    }
    model = detector.graph()
    return Fitted(model, _golden(model, x, speed, z), facts, split, report, notes)


def _cycles(
    history: History, context: Context, left_out: list[str]
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return features (n, k), speed (n,) and time (n,) of the cycles that the app would judge."""
    cycles = Cycles(context.parameters)
    rows, speeds, times = [], [], []
    moments: Counter[Moment] = Counter()
    missing: Counter[str] = Counter()
    for now_ns, values in history.replay(context.period_ns):
        found = cycles.look(values)
        moments[found.moment] += 1
        if found.moment is Moment.BAD:
            missing.update(cycles.missing(values))
        if found.moment is Moment.CYCLE:
            rows.append(found.features)
            speeds.append(found.speed)
            times.append(now_ns)
    share = 100 / max(1, moments.total())
    left_out += [f"{share * n:.0f} % of the time without {path}" for path, n in missing.most_common(3)]
    if moments[Moment.PAUSED]:
        left_out.append(f"{share * moments[Moment.PAUSED]:.0f} % of the time standing")
    if moments[Moment.SETTLING]:
        left_out.append(f"{moments[Moment.SETTLING]} cycles after a start or a change of speed")
    x = np.array(rows, np.float64).reshape(len(rows), len(cycles.features))
    return x, np.array(speeds), np.array(times, np.int64)


def _detector(names: tuple[str, ...], x: Array, speed: Array, smoothing: float, notes: list[str]) -> Detector:
    reference = float(speed.mean())
    if speed.min() <= 0:
        raise FitError(f"the speed is {speed.min():g} while the machine runs", "leave speed: empty")
    design = basis(speed, reference)
    steady = speed.std() < STEADY_SPEED * reference
    if steady:
        coefficients = np.zeros((2, x.shape[1]))
        notes.append("the speed was steady: what depends on it could not be learned")
    else:
        centred = design - design.mean(axis=0)
        coefficients = np.linalg.lstsq(centred, x - x.mean(axis=0), rcond=1e-6)[0]
    rest = x - design @ coefficients
    mean, sd = rest.mean(axis=0), rest.std(axis=0)
    power = np.zeros(x.shape[1])
    still = sd <= 1e-9 * np.maximum(np.abs(mean), 1)
    constant = [name for name, each in zip(names, still, strict=True) if each]
    if constant:
        raise FitError(
            f"{', '.join(constant)} did not change in the whole time",
            "take it out of the parameter features, or look why its sensor is still",
        )
    if not steady:
        power = _power(np.abs(rest - mean) / sd, speed / reference)
        sd = ((rest - mean) / (speed[:, None] / reference) ** power).std(axis=0)
    detector = Detector(mean, sd, coefficients, power, reference, smoothing, np.eye(len(sd)))
    z = ewma(detector.standardise(x, speed), smoothing)[round(3 / smoothing) :]
    covariance = z.T @ z / len(z)
    condition = float(np.linalg.cond(covariance))
    if not np.isfinite(condition) or condition > LARGEST_CONDITION:
        covariance += RIDGE * np.diag(np.diag(covariance))
        notes.append(
            f"signals nearly say the same (condition {condition:.2g}): "
            f"the covariance was regularised by {RIDGE:g}"
        )
    if not np.linalg.cond(covariance) < LARGEST_CONDITION:
        raise FitError("the covariance of the signals is singular", "take one out of the parameter features")
    return replace(detector, covariance=covariance)


def _power(size: Array, ratio: Array) -> Array:
    """Return p of a spread that goes with ratio^p, from n sizes of deviations, shape (k,)."""
    log_ratio = np.log(ratio) - np.log(ratio).mean()
    log_size = np.log(np.maximum(size, 1e-6))
    return np.asarray(np.round(log_ratio @ (log_size - log_size.mean(axis=0)) / (log_ratio @ log_ratio), 2))


def _limit(t2: Array, k: int, smoothing: float, cycles_between: float, notes: list[str]) -> float:
    """Return the level that normal running passes once in so many cycles.

    Block maxima of the fitted part, extrapolated as a Gumbel distribution by its moments; not below the
    chi-square quantile for independent z, with one chance per memory of the EWMA.

    Source: Gumbel, Statistics of Extremes (1958), 6.2; Wilson and Hilferty, PNAS 17 (1931) 684-688.
    """
    memory = 2 / smoothing
    chance = min(0.5, memory / cycles_between)
    normal = NormalDist().inv_cdf(1 - chance)
    by_chi_square = k * (1 - 2 / (9 * k) + normal * math.sqrt(2 / (9 * k))) ** 3
    block = round(BLOCK_MEMORIES / smoothing)
    blocks = len(t2) // block
    if blocks < LEAST_BLOCKS:
        notes.append("the limit is the chi-square quantile: too little history to learn it from extremes")
        return float(by_chi_square)
    maxima = t2[: blocks * block].reshape(blocks, block).max(axis=1)
    scale = float(maxima.std(ddof=1)) * math.sqrt(6) / math.pi
    level = float(maxima.mean()) - 0.5772156649 * scale + scale * math.log(cycles_between / block)
    return float(max(level, by_chi_square))


def _running_ns(at_ns: NDArray[np.int64]) -> float:
    """Return the running time of cycles: the sum of their gaps, long ones left out."""
    gaps = np.diff(at_ns)
    usual = float(np.median(gaps))
    return float(gaps[gaps < 5 * usual].sum()) + usual


def _warnings(t2: Array, limit: float, raise_count: int, of_last: int) -> int:
    """Return how often the app would have warned."""
    above: deque[bool] = deque(maxlen=of_last)
    warning, count = False, 0
    for each in t2 > limit:
        above.append(bool(each))
        if not warning and sum(above) >= raise_count:
            warning, count = True, count + 1
        elif not any(above):
            warning = False
    return count


def _golden(model: bytes, x: Array, speed: Array, z: Array) -> list[Golden]:
    """Return questions from the history, with this machine's answers."""
    session = open_session(model)
    names = [each.name for each in session.get_outputs()]
    golden = []
    for index in np.linspace(1, len(x) - 1, GOLDEN).astype(int).tolist():
        inputs = {"x": x[[index]], "given": speed[[index], None], "z_prev": z[[index - 1]]}
        answers = session.run(names, inputs)
        golden.append(
            Golden(
                {name: value[0].tolist() for name, value in inputs.items()},
                {name: value[0].tolist() for name, value in zip(names, answers, strict=True)},
            )
        )
    return golden
