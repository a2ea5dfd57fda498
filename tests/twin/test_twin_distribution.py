"""Distributions: their means, limits and the short form."""

from random import Random

import pytest
from pydantic import TypeAdapter, ValidationError

from twin.model.distribution import Distribution

ADAPTER = TypeAdapter(Distribution)


@pytest.mark.parametrize(
    "text",
    [
        "2s",
        {"dist": "uniform", "low": "1s", "high": "3s"},
        {"dist": "normal", "mean": "2s", "sd": "300ms"},
        {"dist": "triangular", "low": "1s", "mode": "1.5s", "high": "4s"},
        {"dist": "exponential", "mean": "2s"},
        {"dist": "lognormal", "mean": "2s", "sd": "1s"},
        {"dist": "weibull", "scale": "2s", "shape": 1.7},
    ],
    ids=lambda text: text if isinstance(text, str) else text["dist"],
)
def test_mean_of_many_is_the_mean_told(text):
    distribution = ADAPTER.validate_python(text)
    random = Random(1)
    draws = [distribution.sample(random) for _ in range(20_000)]
    assert min(draws) >= 0
    assert sum(draws) / len(draws) == pytest.approx(distribution.mean_ns, rel=0.02)


def test_lognormal_has_the_spread_told():
    distribution = ADAPTER.validate_python({"dist": "lognormal", "mean": "2s", "sd": "1s"})
    random = Random(1)
    draws = [distribution.sample(random) / 1e9 for _ in range(50_000)]
    mean = sum(draws) / len(draws)
    assert (sum((each - mean) ** 2 for each in draws) / len(draws)) ** 0.5 == pytest.approx(1.0, rel=0.05)


def test_normal_stays_inside_its_limits():
    distribution = ADAPTER.validate_python(
        {"dist": "normal", "mean": "2s", "sd": "1s", "low": "1.5s", "high": "2.5s"}
    )
    random = Random(1)
    draws = [distribution.sample(random) for _ in range(5_000)]
    assert 1_500_000_000 <= min(draws) < max(draws) <= 2_500_000_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"dist": "uniform", "low": "3s", "high": "1s"}, "low must be below high"),
        ({"dist": "normal", "mean": "9s", "sd": "1s", "high": "5s"}, "between low and high"),
        ({"dist": "triangular", "low": "3s", "mode": "1s", "high": "4s"}, "in this order"),
        ({"dist": "gauss", "mean": "1s"}, "gauss"),
        ("soon", "not a duration"),
    ],
)
def test_nonsense_is_refused(text, said):
    with pytest.raises(ValidationError, match=said):
        ADAPTER.validate_python(text)
