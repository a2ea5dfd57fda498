"""Screens and dialogs: each lays out widgets, hands them the newest view, and sends messages to the app."""
