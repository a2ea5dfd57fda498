"""TLS of the gateway: its own authority, the certificate that the server shows, and how both are told."""
