"""The journal: audit, alarms and operator values in SQLite; what it confirmed outlives a kill."""

from runtime.journal.alarmlog import (
    AlarmLogEntry,
    AlarmMove,
    AlarmRow,
    alarm_log,
    alarm_log_after,
    alarm_moves,
    alarm_place,
    alarm_rows,
    begun_ns,
)
from runtime.journal.audit import AuditEntry, AuditRow, audit_log, last_done_ns
from runtime.journal.chain import ChainReport, verify_audit
from runtime.journal.configlog import ConfigRecord, config_log
from runtime.journal.store import Journal, Record
from runtime.journal.values import OperatorValue, operator_values

__all__ = [
    "AlarmLogEntry",
    "AlarmMove",
    "AlarmRow",
    "AuditEntry",
    "AuditRow",
    "ChainReport",
    "ConfigRecord",
    "Journal",
    "OperatorValue",
    "Record",
    "alarm_log",
    "alarm_log_after",
    "alarm_moves",
    "alarm_place",
    "alarm_rows",
    "audit_log",
    "begun_ns",
    "config_log",
    "last_done_ns",
    "operator_values",
    "verify_audit",
]
