"""What is secret in a plant folder's own files: hashes of secrets, private keys, files of passwords."""

from __future__ import annotations

import re
from posixpath import normpath

from runtime.versions.folder import Content

_HASH = re.compile(r"\$argon2[\w$=,+/-]*")
_FILE = re.compile(rb"\bpassword_file[\"']?:[ \t]*[\"']?([^\s\"',}]+)")


def is_secret(content: Content, path: str) -> bool:
    """Tell whether a file is a private key, or one that another names as holding a password."""
    if b"PRIVATE KEY-----" in content.files.get(path, b""):
        return True
    named = (found for data in content.files.values() for found in _FILE.findall(data))
    return any(normpath(found.decode("utf-8", "replace")) == path for found in named)


def without_hashes(text: str) -> str:
    """Return a text without the hashes of users' secrets."""
    return _HASH.sub("(kept secret)", text)
