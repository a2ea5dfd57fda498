"""OPC UA client: a server whose variables this plant reads, writes and calls."""
