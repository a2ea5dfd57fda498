"""Rules: what a program must keep to, one rule a file; each finds, none changes anything."""
