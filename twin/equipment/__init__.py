"""Equipment: state machines, one a file."""
