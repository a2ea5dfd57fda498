"""Campaigns that prove what the kernel promises: kills, failing disks, and a simulated kernel."""
