"""The short form of `ironworks chaos s7`."""

import asyncio

import pytest

from drivers.s7.chaos.campaign import campaign


@pytest.mark.campaign
def test_a_cpu_in_trouble_is_found_again_and_no_answer_passes_for_another(tmp_path, monkeypatch):
    monkeypatch.setattr("drivers.chaos.campaign.LIMIT_S", 60.0)  # how fast is not the question here
    kinds = ("both", "loss", "late")
    settings = {"count": 30, "pace": 0.1, "timeout": "250ms"}
    report = asyncio.run(campaign(tmp_path, len(kinds), 1, lambda _: None, kinds, **settings))
    assert report.findings == []
    assert report.done == dict.fromkeys(kinds, 1)
    assert len(report.seconds) == len(kinds)
