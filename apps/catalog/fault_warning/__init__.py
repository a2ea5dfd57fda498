"""Warns before a machine's own alarms do: a multivariate EWMA over its signals."""
