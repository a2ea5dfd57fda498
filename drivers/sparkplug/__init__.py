"""MQTT Sparkplug B: the plant as an edge node, and other edge nodes as tags."""
