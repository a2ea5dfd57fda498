"""A campaign against the Modbus client: its device freezes, dies, moves, hangs and is slow."""
