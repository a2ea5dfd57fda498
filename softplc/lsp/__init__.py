"""Language server: what an editor asks about Structured Text. Only `server` and `places` know pygls."""
