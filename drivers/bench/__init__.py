"""What the drivers do in a second, beside the libraries that they are built on."""
