"""PLCopen XML: projects of other tools, read as what the compiler reads anyway.

A project becomes Structured Text that knows the place of each part in the XML, so that everything behind the
parser is as it is for text, and what is told points to the element.
"""
