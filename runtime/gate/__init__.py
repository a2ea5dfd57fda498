"""The gate: the only way that a person, a client or an app writes."""

from runtime.gate.expression import Expression, parse_expression
from runtime.gate.identity import Identity
from runtime.gate.policy import Gate, judge

__all__ = ["Expression", "Gate", "Identity", "judge", "parse_expression"]
