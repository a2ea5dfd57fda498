"""The debugger: `ironworks dap`, a Debug Adapter Protocol server over a simulated or a replayed program."""
