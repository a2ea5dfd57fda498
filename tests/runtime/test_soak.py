"""The slope that a soak tells."""

import numpy as np

from runtime.bench.soak import slope_of

HOURS = np.linspace(0, 2, 720)


def test_a_leak_stands_out_of_the_noise():
    noise = np.random.default_rng(7).normal(0, 5, len(HOURS))
    slope, error = slope_of(HOURS, 250 + 12 * HOURS + noise)
    assert abs(slope - 12) < error < 3


def test_a_saw_tooth_without_a_trend_is_noise():
    slope, error = slope_of(HOURS, 250 + 10 * (HOURS * 5.3 % 1))
    assert abs(slope) <= error
