"""OPC UA: the server over the tag table."""
