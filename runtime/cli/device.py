"""Log in at an OpenID Connect issuer from a terminal: the device authorization grant of RFC 8628."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from runtime.errors import ConnectError, PlantError

if TYPE_CHECKING:
    from runtime.contract import Clock
    from runtime.logins import OidcWay

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER_S = 5  # RFC 8628, 3.5
_LONGEST_S = 60.0


async def device_login(way: OidcWay, clock: Clock) -> str:
    """Show a code that the person enters in a browser anywhere, and return the token that comes of it.

    Raises:
        ConnectError: the issuer does not answer.
        PlantError: it refuses, or nobody entered the code in time.
    """
    import httpx

    from runtime.gate.oidc import discover, http_client

    async with http_client() as http:
        try:
            found = await discover(http, way.issuer)
            started = await _post(
                http,
                found.get("device_authorization_endpoint"),
                {"client_id": way.client_id, "scope": way.scope},
            )
            if "error" in started:
                raise _refused(started)
            _show(started)
            answer = await _wait(http, found.get("token_endpoint"), way, started, clock)
            return str(answer["access_token" if way.access_token else "id_token"])
        except httpx.TransportError as exc:
            text = f"the issuer {way.issuer} does not answer: {exc or type(exc).__name__}"
            raise ConnectError(text, "is it there, and reached from here?") from exc
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as exc:
            text = f"the issuer {way.issuer} does not answer as it should: {exc or type(exc).__name__}"
            raise ConnectError(text, "it must offer the device authorization grant (RFC 8628)") from exc


async def _wait(http: Any, url: Any, way: OidcWay, started: dict[str, Any], clock: Clock) -> dict[str, Any]:
    import httpx

    interval_s = max(1.0, float(started.get("interval", 5)))
    end_ns = clock.now_ns() + round(float(started["expires_in"]) * 1e9)
    body = {"grant_type": _GRANT, "device_code": started["device_code"], "client_id": way.client_id}
    while clock.now_ns() < end_ns:
        await clock.sleep(interval_s)
        try:
            answer = await _post(http, url, body)
        except httpx.TransportError:  # RFC 8628, 3.5: the code may be entered already
            interval_s = min(2 * interval_s, _LONGEST_S)
            continue
        match answer.get("error"):
            case None:
                return answer
            case "authorization_pending":
                continue
            case "slow_down":
                interval_s += _SLOWER_S
            case _:
                raise _refused(answer)
    raise PlantError("the code was not entered in time", "try again: ironworks login --oidc")


async def _post(http: Any, url: Any, body: dict[str, str]) -> dict[str, Any]:
    from runtime.gate.oidc import in_private

    if not isinstance(url, str) or not in_private(url):
        raise ValueError("it has no such endpoint over TLS")
    answer = await http.post(url, data=body)
    if answer.status_code >= 500:
        answer.raise_for_status()
    found = answer.json()
    if not isinstance(found, dict):
        raise ValueError("an answer is not a JSON object")
    return found


def _show(started: dict[str, Any]) -> None:
    print(f"Open {started['verification_uri']} and enter {started['user_code']}", file=sys.stderr)
    if "verification_uri_complete" in started:
        print(f"  or open {started['verification_uri_complete']}", file=sys.stderr)
    sys.stderr.flush()


def _refused(answer: dict[str, Any]) -> PlantError:
    told = answer.get("error_description") or answer["error"]
    return PlantError(f"the issuer refuses: {told}", "try again, or ask whoever looks after it")
