"""A Sparkplug host application: other edge nodes' metrics as tags of this plant."""
