"""Runs apps: each Python app in a process of its own, or stepped in this one in virtual time."""
