"""Writes from outside: in whose name, and how refusals are told."""

from drivers.frame.gated import MOST_TOLD, CommandsConfig, Refusals, actor_of
from runtime.clock import SECOND_NS
from runtime.contract import DataType, Role, Tag
from runtime.errors import RateLimitedError
from runtime.testing import FakePort


def test_areas_hold_for_whole_paths_and_for_those_below_the_root():
    config = CommandsConfig(
        actor="hall",
        role="operator",
        areas={"tank/*": "viewer", "s/l/tank/sp": "engineer", "s/**/x": "viewer"},
    )
    actor = actor_of(config, "modbus", "s/l")
    assert (actor.name, actor.role, actor.via) == ("hall", Role.OPERATOR, "modbus")
    places = ("s/l/pump", "s/l/tank/level", "s/l/tank/sp", "s/l/pump/x")
    assert [actor.at(each).role for each in places] == [
        Role.OPERATOR, Role.VIEWER, Role.ENGINEER, Role.VIEWER,
    ]  # fmt: skip
    assert actor_of(None, "modbus", "s/l") is None


def test_refusals_are_told_so_many_a_second_and_again_later():
    port = FakePort([Tag("s/l/a", DataType.INT)], "io")
    refusals = Refusals(port)
    for number in range(100):
        refusals.tell(f"tag {number}", str(RateLimitedError("too often", "wait")))
    assert len(port.emitted) == MOST_TOLD
    assert port.emitted[0].kind == "driver.command_refused"
    assert port.emitted[0].text == "io does not take a write of tag 0: too often (wait)"
    port.clock.set_ns(port.clock.now_ns() + 2 * SECOND_NS)
    refusals.tell("tag 100", "why")
    assert len(port.emitted) == MOST_TOLD + 1
