"""The record of scans: kept in a ring by the loop, on disk by the kernel, and replayed bit for bit."""
