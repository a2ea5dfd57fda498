"""`ironworks chaos abuse` in short: half a second each; what takes time is judged in the long form."""

import asyncio

import pytest

from drivers.abuse.campaign import ATTACKS, campaign
from drivers.abuse.report import QUIET

SHORT = ("a thousand connections", "resets", "OPC UA: made to hurt", "OPC UA: writes without right")


@pytest.mark.campaign
def test_good_clients_are_served_while_a_plant_is_attacked(tmp_path, rounds):
    whole = rounds > 4
    attacks = ATTACKS if whole else {name: ATTACKS[name] for name in SHORT}
    pace = 1.0 if whole else 0.05
    report = asyncio.run(campaign(tmp_path, rounds, 20261128, lambda _: None, attacks, pace))
    print("\n".join(report.lines()))
    assert report.findings == []
    assert report.rounds == rounds
    assert report.tried["connections"] > 100 * rounds / 4
    assert set(report.served) == {QUIET, *list(attacks)[:rounds]}
