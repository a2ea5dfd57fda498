"""The short form of `ironworks chaos sparkplug`."""

import asyncio

import pytest

from drivers.sparkplug.chaos.campaign import campaign


@pytest.mark.campaign
@pytest.mark.peer
def test_nothing_is_lost_and_nothing_old_is_good_while_a_broker_is_in_trouble(
    mosquitto, tmp_path, monkeypatch
):
    monkeypatch.setattr("drivers.chaos.campaign.LIMIT_S", 60.0)  # how fast is not the question here
    kinds = ("both", "half-open", "twice")
    quick = {"count": 20, "pace": 0.1, "timeout": "300ms", "watch": "100ms"}
    report = asyncio.run(campaign(tmp_path, len(kinds), 1, lambda _: None, kinds, **quick))
    assert report.findings == []
    assert report.done == dict.fromkeys(kinds, 1)
    assert len(report.seconds) == len(kinds)
