"""Spoilt requests and streams: every answer is one that the standard has."""

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.abuse.corpus import modbus
from drivers.abuse.fuzz import modbus_request, modbus_stream
from drivers.abuse.mutate import mutated, spoilt_frame

VALID = modbus()
randoms = st.randoms(use_true_random=False)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(VALID), randoms)
def test_a_device_answers_whatever_it_is_asked(message, random):
    modbus_request(message)
    modbus_request(mutated(random, message, VALID))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(VALID), max_size=5), randoms)
def test_a_stream_is_split_alike_however_it_arrives(messages, random):
    modbus_stream(b"".join(spoilt_frame(random, message) for message in messages)[:2_000])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_a_device_answers_noise(data):
    modbus_request(data)
    modbus_stream(data)
