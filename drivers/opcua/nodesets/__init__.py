"""Nodes from tables and files: the companion specifications' types, NodeSet2 XML in and out."""
