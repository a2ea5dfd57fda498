"""Alarms in the terms of ISA-18.2: states, conditions, engine, and the service around it."""

from runtime.alarms.commands import COMMANDS, Command
from runtime.alarms.configuration import AlarmFile, check_alarms, load_alarms
from runtime.alarms.engine import AlarmEngine
from runtime.alarms.model import Alarm, Transition
from runtime.alarms.service import AlarmService
from runtime.alarms.states import Standing, State, Trigger
from runtime.alarms.tags import TAGS

__all__ = [
    "COMMANDS",
    "TAGS",
    "Alarm",
    "AlarmEngine",
    "AlarmFile",
    "AlarmService",
    "Command",
    "Standing",
    "State",
    "Transition",
    "Trigger",
    "check_alarms",
    "load_alarms",
]
