"""Modbus TCP: a client that polls and writes devices, and a server that is one."""
