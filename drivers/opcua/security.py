"""Security policies: which the server offers, with which user tokens; who is told of what it refuses.

Source: OPC 10000-7, SecurityPolicy facets, for the names; OPC 10000-4, 7.41 for user tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from asyncua import ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256, SecurityPolicyNone

NOTHING = "None"
BETTER = "let it use Basic256Sha256 or better"
_REMEMBERED = 1_000
_TYPES = ua.SecurityPolicyType
_OFFERED = {
    "Basic256Sha256": (_TYPES.Basic256Sha256_SignAndEncrypt, _TYPES.Basic256Sha256_Sign),
    "Aes128_Sha256_RsaOaep": (
        _TYPES.Aes128Sha256RsaOaep_SignAndEncrypt,
        _TYPES.Aes128Sha256RsaOaep_Sign,
    ),
    "Aes256_Sha256_RsaPss": (_TYPES.Aes256Sha256RsaPss_SignAndEncrypt, _TYPES.Aes256Sha256RsaPss_Sign),
    NOTHING: (_TYPES.NoSecurity,),
}


def offered(names: Iterable[str]) -> list[Any]:
    """Return the policies of those names as asyncua has them, None at the end."""
    wanted = set(names)
    return [each for name, types in _OFFERED.items() if name in wanted for each in types]


def mend_tokens(endpoint: Any) -> None:
    """Let an endpoint without security take no user's secret in the clear, and no certificate.

    Passwords are encrypted for the server's certificate there; asyncua asks for that only where another
    endpoint encrypts. Policies that differ have ids that differ. Source: OPC 10000-4, 7.42 UserTokenPolicy.
    """
    if endpoint.SecurityMode == ua.MessageSecurityMode.None_:
        endpoint.UserIdentityTokens = [
            each for each in endpoint.UserIdentityTokens if each.TokenType != ua.UserTokenType.Certificate
        ]
        for each in endpoint.UserIdentityTokens:
            plain = each.SecurityPolicyUri in (None, SecurityPolicyNone.URI)
            if each.TokenType == ua.UserTokenType.UserName and plain:
                each.SecurityPolicyUri = SecurityPolicyBasic256Sha256.URI
    for each in endpoint.UserIdentityTokens:
        _, _, policy = (each.SecurityPolicyUri or "").rpartition("#")
        if policy not in ("", NOTHING):
            each.PolicyId = f"{each.PolicyId}_{policy}"


class Refusals:
    """Tells people why a client was refused, once for an address and a cause: its screen has a code only."""

    def __init__(self, tell: Callable[[str, str, str], None]) -> None:
        """`tell` is told the address, the cause and the remedy."""
        self._tell = tell
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()

    def add(self, address: str, cause: str, remedy: str = BETTER) -> None:
        """Tell of one."""
        if (address, cause) in self._told:
            return
        self._told[address, cause] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        self._tell(address, cause, remedy)
