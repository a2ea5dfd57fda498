"""Alarms in the terms of ISA-18.2: states, conditions, engine, and the service around it."""

from runtime.alarms.configuration import AlarmFile, check_alarms, load_alarms
from runtime.alarms.engine import AlarmEngine
from runtime.alarms.model import Alarm, Transition
from runtime.alarms.service import TAGS, AlarmService
from runtime.alarms.states import State, Trigger

__all__ = [
    "TAGS",
    "Alarm",
    "AlarmEngine",
    "AlarmFile",
    "AlarmService",
    "State",
    "Transition",
    "Trigger",
    "check_alarms",
    "load_alarms",
]
