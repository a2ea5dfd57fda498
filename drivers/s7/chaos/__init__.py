"""A campaign against the S7 client: its CPU freezes, dies, moves, hangs and is slow."""
