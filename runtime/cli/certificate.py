"""`ironworks user cert`: certificates by which clients log in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.session import JsonOption, PlantOption, ask, parse_for, print_json, print_table, show_time
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.wire import CertificateView

_DAY_NS = 86_400_000_000_000


def cert(
    name: str,
    file: Annotated[Path | None, typer.Argument(help="The client's certificate (PEM).")] = None,
    make: Annotated[
        Path | None, typer.Option("--make", metavar="FILE", help="Make one, and write it there with its key.")
    ] = None,
    expires: Annotated[str, typer.Option("--expires", help="With --make: its life, such as 90d.")] = "365d",
    rsa: Annotated[bool, typer.Option("--rsa", help="With --make: one that OPC UA clients can use.")] = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Let a client certificate log in a user; only the certificate leaves this machine, never the key."""
    if (file is None) == (make is None):
        raise PlantError(
            "name the certificate's file, or --make one", "ironworks user cert anna --make anna.pem"
        )
    if not name:
        raise PlantError("whose certificate is it?", "name the user: ironworks user cert anna ...")
    if make is not None:
        days = parse_for(expires, "--expires") // _DAY_NS
        if not days:
            raise PlantError(f"--expires: {expires} is less than a day", "write it like 90d")
        pem = _made(name, days, make, rsa)
    else:
        assert file is not None
        try:
            pem = _certificate_of(file.read_text("ascii"))
        except UnicodeDecodeError as exc:
            raise PlantError(f"{file}: this is not PEM", "convert it: openssl x509 -inform der") from exc
    try:
        found: tuple[CertificateView, ...] = ask(plant, lambda client: client.add_certificate(name, pem))
    except PlantError:
        if make is not None:
            make.unlink(missing_ok=True)
        raise
    if json:
        print_json(found)
    else:
        print(f"certificate {found[-1].id} logs in {name}, until {show_time(found[-1].until_ns)}")


def certs(plant: PlantOption = None, json: JsonOption = False) -> None:
    """List the client certificates."""
    found: tuple[CertificateView, ...] = ask(plant, lambda client: client.certificates())
    if json:
        print_json(found)
        return
    rows = [
        (each.id, each.user, show_time(each.added_ns), each.added_by, show_time(each.until_ns))
        for each in found
    ]
    print_table(("certificate", "user", "added", "by", "until"), rows)


def _made(name: str, days: int, file: Path, rsa: bool) -> str:
    from runtime.clock import WallClock
    from runtime.tls.issue import new_client

    key, certificate = new_client(name, days, WallClock().now_ns(), rsa)
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise PlantError(f"{file} is there already", "choose another name") from exc
    with os.fdopen(made, "wb") as stream:
        stream.write(key + certificate)
    return certificate.decode()


def _certificate_of(pem: str) -> str:
    """Return the certificates of a PEM text without keys that stand beside them."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    parts = [part.partition(end)[0] for part in pem.split(begin)[1:]]
    return "".join(f"{begin}{part}{end}\n" for part in parts)
