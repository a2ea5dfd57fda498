"""A foreign client on open62541 (o6): browses, reads, writes, subscribes, calls; prints one JSON object.

Arguments: URL, the client's certificate and key, the server's certificate.
"""

from __future__ import annotations

import json
import sys
import threading

import o6

ROOT = "nb/bottling/line1"


def tag(path: str) -> str:
    return f"ns=2;s={ROOT}/{path}"


def names(client: o6.Client, node: str) -> list[str]:
    return [str(each.browseName.name) for each in client.browse(node, resultMask=63)]


def main() -> None:
    url, certificate, key, server = sys.argv[1:]
    secure = {
        "certificate": certificate,
        "privateKey": key,
        "trustList": [server],
        "securityMode": 3,
        "securityPolicy": "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256",
        "applicationUri": "urn:ironworks:peer",
        "username": "erik",
        "password": "valve",
    }
    found = {}
    with o6.Client(url, **secure) as client:
        found["line"] = names(client, f"ns=2;s={ROOT}/")
        found["properties"] = sorted(names(client, tag("tank/level_pct")))
        found["devices"] = names(client, "ns=4;i=5001")
        found["program"] = names(client, "ns=7;s=plc/Resources/Cell/Programs/Main")
        kinds = ("bool", "sint", "ulint", "lreal", "string", "word")
        found["values"] = {each: client.read(tag(f"all/{each}")) for each in kinds}
        found["level"] = float(client.read(tag("tank/level_pct")))
        seen: list[float] = []
        arrived = threading.Event()

        def changed(value: float, *_about: object) -> None:
            seen.append(float(value))
            if value == 33:
                arrived.set()

        client.monitor(tag("line/speed"), changed, 0.0, queueSize=10)
        found["write"] = str(client.write(tag("line/speed"), o6.Float(33)))
        found["outOfRange"] = str(client.write(tag("line/speed"), o6.Float(61)))
        found["readOnly"] = str(client.write(tag("tank/level_pct"), o6.Float(1)))
        found["arrived"] = arrived.wait(60)
        found["seen"] = seen
        arguments = [o6.Boolean(True), "peer"]
        client.call("ns=7;s=plc/MethodSet", "ns=7;s=plc/MethodSet/Restart", arguments)
    print(json.dumps(found, default=lambda value: value.item() if hasattr(value, "item") else str(value)))


if __name__ == "__main__":
    main()
