"""The state model of an alarm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.alarms.states import State, Trigger, after

N, U, A, R = State.NORMAL, State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.RETURNED


@pytest.mark.parametrize(
    ("start", "triggers", "end"),
    [
        (N, "raise clear acknowledge", N),
        (N, "raise acknowledge clear", N),
        (N, "raise clear raise", U),
        (N, "raise acknowledge", A),
        (N, "raise clear", R),
    ],
)
def test_the_ways_through_the_diagram(start, triggers, end):
    state = start
    for name in triggers.split():
        state = after(state, Trigger[name.upper()])
    assert state is end


@given(st.lists(st.sampled_from(Trigger)))
def test_an_alarm_leaves_the_list_only_when_it_is_gone_and_was_acknowledged(triggers):
    state, active, waits = N, False, False
    for trigger in triggers:
        moved = after(state, trigger)
        if trigger is Trigger.RAISE:
            assert (moved is None) == active
            waits, active = (waits or not active), True
        elif trigger is Trigger.CLEAR:
            assert (moved is None) == (not active)
            active = False
        else:
            assert (moved is None) == (not waits)
            waits = False
        state = moved or state
        assert state.active == active
        assert state.acknowledged == (not waits)
        assert (state is N) == (not active and not waits)
