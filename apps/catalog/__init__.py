"""The apps that ship with Ironworks: a folder each, with its app.yaml."""
