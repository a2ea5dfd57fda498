"""The journal: audit, alarms and operator values in SQLite; what it confirmed outlives a kill."""

from runtime.journal.alarmlog import AlarmLogEntry, AlarmRow, alarm_log, alarm_log_between, alarm_rows
from runtime.journal.audit import AuditEntry, AuditRow, audit_log
from runtime.journal.store import Journal, Record
from runtime.journal.values import OperatorValue, operator_values

__all__ = [
    "AlarmLogEntry",
    "AlarmRow",
    "AuditEntry",
    "AuditRow",
    "Journal",
    "OperatorValue",
    "Record",
    "alarm_log",
    "alarm_log_between",
    "alarm_rows",
    "audit_log",
    "operator_values",
]
