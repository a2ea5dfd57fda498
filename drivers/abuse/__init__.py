"""A plant under attack: hostile traffic for every server it has, while good clients measure."""
