"""The short form of `ironworks chaos modbus`."""

import asyncio

import pytest

from drivers.modbus.chaos.campaign import campaign


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("framing", "kinds"),
    [("tcp", ("both", "address", "half-open", "delay")), ("rtu", ("freeze", "loss", "late", "twice"))],
    ids=["tcp", "rtu"],
)
def test_a_device_in_every_trouble_is_found_again_and_no_answer_passes_for_another(
    tmp_path, framing, kinds, monkeypatch
):
    monkeypatch.setattr("drivers.chaos.campaign.LIMIT_S", 60.0)  # how fast is not the question here
    settings = {"count": 30, "pace": 0.1, "framing": framing, "timeout": "250ms"}
    report = asyncio.run(campaign(tmp_path, len(kinds), 1, lambda _: None, kinds, **settings))
    assert report.findings == []
    assert report.done == dict.fromkeys(kinds, 1)
    assert len(report.seconds) == len(kinds)
