"""A campaign against edge node and host: their broker freezes, dies, moves, hangs and is slow."""
