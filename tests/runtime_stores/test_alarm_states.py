"""The state model of an alarm, against ISA-18.2's diagram written out, and as a walk."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.alarms.states import Standing, State, Trigger, after

N, U, A, R = State.NORMAL, State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.RETURNED
T = Trigger
# Every transition of an alarm that is not hidden: (state, latched), trigger, latching -> (state, latched).
TABLE = {
    ((N, False), T.RAISE): (U, False),
    ((U, False), T.ACKNOWLEDGE): (A, False),
    ((R, False), T.RAISE): (U, False),
    ((R, False), T.ACKNOWLEDGE): (N, False),
    ((A, False), T.RE_ALARM): (U, False),
    ((U, True), T.RAISE): (U, False),
    ((A, True), T.RAISE): (U, False),
    ((U, True), T.ACKNOWLEDGE): (A, True),
    ((U, True), T.RESET): (R, False),
    ((A, True), T.RESET): (N, False),
}
CLEARED = {
    False: {(U, False): (R, False), (A, False): (N, False)},
    True: {(U, False): (U, True), (A, False): (A, True)},
}
PLACES = [(N, False), (U, False), (A, False), (R, False), (U, True), (A, True)]
HIDING = {T.SHELVE: "shelved", T.SUPPRESS: "suppressed", T.REMOVE: "out_of_service"}
SHOWING = {T.UNSHELVE: "shelved", T.UNSUPPRESS: "suppressed", T.RETURN: "out_of_service"}


@pytest.mark.parametrize("trigger", [each for each in Trigger if each is not T.CONFIRM])
@pytest.mark.parametrize("latching", [False, True])
def test_every_transition_of_every_standing(trigger, latching):
    for place, *flags in product(PLACES, *[[False, True]] * 3):
        standing = Standing(*place, *flags)
        result = after(standing, trigger, latching)
        if trigger in HIDING:
            hidden = standing._replace(**{HIDING[trigger]: True})
            again = getattr(standing, HIDING[trigger]) and trigger is not T.SHELVE
            assert result == (None if again else hidden)
        elif trigger in SHOWING:
            if not getattr(standing, SHOWING[trigger]):
                assert result is None
                continue
            shown = standing._replace(**{SHOWING[trigger]: False})
            if not shown.hidden:  # ISA-18.2: back to normal, or new to the operator
                shown = shown._replace(state=U if place[0] in (U, A) else N)
            assert result == shown
        elif trigger is T.COMMENT:
            assert result == standing
        else:
            expected = CLEARED[latching].get(place) if trigger is T.CLEAR else TABLE.get((place, trigger))
            if trigger is T.RE_ALARM and any(flags):
                expected = None
            assert result == (expected and Standing(*expected, *flags))


WAITING = [place for place in PLACES if place[0] in (N, A)]


@pytest.mark.parametrize("latching", [False, True])
def test_acknowledging_an_alarm_that_needs_it_makes_it_wait_for_a_confirmation(latching):
    for place, *flags in product(PLACES, *[[False, True]] * 3):
        standing = Standing(*place, *flags)
        assert after(standing, T.CONFIRM, latching, confirm=True) is None
        plain = after(standing, T.ACKNOWLEDGE, latching)
        asked = after(standing, T.ACKNOWLEDGE, latching, confirm=True)
        assert asked == (plain and plain._replace(unconfirmed=True))


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("latching", [False, True])
def test_only_a_confirmation_or_being_asked_anew_ends_the_wait_for_one(trigger, latching):
    """Whatever else moves the alarm moves it as if it were confirmed, and it waits on."""
    for place, *flags in product(WAITING, *[[False, True]] * 3):
        standing = Standing(*place, *flags, unconfirmed=True)
        result = after(standing, trigger, latching, confirm=True)
        if trigger is T.CONFIRM:
            assert result == standing._replace(unconfirmed=False)
            continue
        plain = after(standing._replace(unconfirmed=False), trigger, latching, confirm=True)
        assert result == (plain and plain._replace(unconfirmed=plain.acknowledged))


@given(st.booleans(), st.booleans(), st.lists(st.sampled_from(Trigger), max_size=60))
def test_the_operator_misses_no_alarm(latching, confirm, triggers):
    """Whatever happens, an active alarm is in alarm, and one that waits for somebody says so."""
    standing, active, waits, unconfirmed = Standing(), False, False, False
    for trigger in triggers:
        if (trigger is T.RAISE and active) or (trigger is T.CLEAR and not active):
            continue  # the rules tell changes only
        moved = after(standing, trigger, latching, confirm)
        if trigger in (T.RAISE, T.CLEAR):
            assert moved is not None
            active = trigger is T.RAISE
            waits |= active
        elif trigger is T.ACKNOWLEDGE:
            assert (moved is not None) == waits
            unconfirmed = confirm if waits else unconfirmed
            waits = False
        elif trigger is T.CONFIRM:
            assert (moved is not None) == unconfirmed
            unconfirmed = False
        elif trigger is T.RE_ALARM and moved is not None:
            waits = True
        elif trigger in SHOWING and moved is not None and standing.hidden and not moved.hidden:
            waits = moved.in_alarm
        standing = moved or standing
        unconfirmed = unconfirmed and not waits
        assert standing.unconfirmed == unconfirmed
        assert standing.active == active
        assert standing.in_alarm >= active
        assert standing.acknowledged == (not waits)
        assert not standing.latched or (latching and standing.in_alarm and not active)
