"""Lowering: the marked tree to typed IR. Only error-free projects get here."""
