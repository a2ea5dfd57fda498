"""S7 communication (Siemens S7-300, -400, -1200, -1500 and what speaks as they do): the client."""
