"""The engine: calendar, random streams, and the plant in motion."""
