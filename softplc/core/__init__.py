"""The scan core: native code that latches inputs, runs tasks and publishes outputs."""
