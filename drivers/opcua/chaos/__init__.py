"""A campaign against the OPC UA client: its server freezes, dies, hangs and is slow."""
