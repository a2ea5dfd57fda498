"""Models of apps: a folder each, with hashes, a card and golden vectors."""
