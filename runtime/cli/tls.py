"""`ironworks tls`: the gateway's certificate, and on other machines the trust in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.cli.session import JsonOption, PlantOption, before_command, print_json
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.config import Plant
    from runtime.tls.certificate import Certificate

app = typer.Typer(help="The gateway's certificate, and trust in it on other machines.", no_args_is_help=True)
app.callback()(before_command)


@app.command()
def show(plant: PlantOption = None, json: JsonOption = False) -> None:
    """Show the certificate, and the fingerprint that other machines compare; run it on the gateway."""
    from runtime.tls.certificate import day, shown

    chain = _chain(_plant(plant))
    if json:
        print_json({"certificate": _told(chain[0]), "trusted": _told(chain[-1])})
        return
    print(f"certificate  {chain[0].subject}, until {day(chain[0].until_ns)}")
    print(f"names        {', '.join(chain[0].names)}")
    if len(chain) > 1:
        print(f"signed by    {chain[-1].subject}")
    print(f"fingerprint  {shown(chain[-1].fingerprint)}")


@app.command()
def renew(plant: PlantOption = None, json: JsonOption = False) -> None:
    """Make a new certificate now; a running plant shows it from the next connection on."""
    from runtime.clock import WallClock
    from runtime.tls.certificate import day
    from runtime.tls.shown import OwnFiles, wanted_names

    found = _plant(plant)
    api = found.head.api
    assert api is not None
    if api.tls.certificate:
        remedy = "replace its files: a running plant takes them up by itself"
        raise PlantError(f"{api.tls.certificate} was made elsewhere", remedy)
    own = OwnFiles(found.state, found.name)
    _as_its_account(own.folder if own.folder.exists() else own.folder.parent)
    own.renew(wanted_names(api.host, api.tls), WallClock().now_ns())
    made = _chain(found)[0]
    if json:
        print_json({"certificate": _told(made)})
    else:
        print(f"a new certificate for {', '.join(made.names)}, until {day(made.until_ns)}")


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; else standard output.")] = None,
    plant: PlantOption = None,
) -> None:
    """Write what other clients shall trust, as PEM: for browsers, curl --cacert, $IRONWORKS_AUTHORITY."""
    trusted = _chain(_plant(plant))[-1]
    if file is None:
        print(trusted.pem, end="")
    else:
        file.write_text(trusted.pem, "ascii")
        print(f"{trusted.subject} is in {file}", file=sys.stderr)


@app.command()
def trust(
    url: Annotated[str, typer.Argument(help="https://gateway:8420")],
    fingerprint: Annotated[
        str, typer.Option(help="What `ironworks tls show` tells on the gateway; asked for without it.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Trust a gateway from now on, on this account; run it on the machine of the client."""
    from runtime import trust as client
    from runtime.tls.certificate import plain, shown

    pem = client.shown_at(url)
    found = client.fingerprint(pem)
    before = client.pinned(url)
    if fingerprint:
        if plain(fingerprint) != found:
            text = f"{url} shows {shown(found)}, which is another"
            raise PlantError(text, "do not trust it before you know why: something else may answer there")
    elif not sys.stdin.isatty():
        raise PlantError(
            "nobody can be asked", "give --fingerprint, from `ironworks tls show` on the gateway"
        )
    elif before != pem:
        if before is not None:
            try:
                told = shown(client.fingerprint(before))
            except ValueError:
                told = "what is not a certificate"
            typer.echo(f"until now was trusted here {told}", err=True)
        typer.echo(f"{url} shows            {shown(found)}", err=True)
        typer.confirm("Does `ironworks tls show` tell the same on the gateway?", abort=True, err=True)
    client.pin(url, pem)
    client.check(url)
    if json:
        print_json({"url": url, "fingerprint": found})
    else:
        print(f"{url} is trusted")


def _plant(target: str | None) -> Plant:
    from runtime.cli.stopped import plain_plant
    from runtime.endpoint import running

    if target is None:
        mains = [each for each in running() if not each.rack]
        target = mains[0].file if len(mains) == 1 else None
    found = plain_plant(target)
    if found.head.api is None or not found.head.api.outside:
        text = f"{found.file}: the API listens on loopback only, without TLS"
        raise PlantError(text, "other machines: api: {host: 0.0.0.0} in plant.yaml")
    return found


def _chain(plant: Plant) -> tuple[Certificate, ...]:
    from runtime.tls.certificate import read_certificates
    from runtime.tls.shown import OwnFiles

    assert plant.head.api is not None
    given = plant.head.api.tls.certificate
    shown = plant.path(given) if given else OwnFiles(plant.state, plant.name).server
    try:
        return read_certificates(shown.read_bytes())
    except FileNotFoundError as exc:
        remedy = "correct tls: certificate:" if given else "start the plant, or ironworks tls renew"
        raise PlantError(f"{shown}: there is no certificate yet", remedy) from exc
    except PermissionError as exc:
        raise PlantError(f"{shown} may not be read", "run this as the account of the plant") from exc
    except ValueError as exc:
        raise PlantError(f"{shown}: no usable certificate", "ironworks tls renew makes another") from exc


def _as_its_account(folder: Path) -> None:
    """Refuse to write as another account: the plant could not read it."""
    if folder.exists() and folder.stat().st_uid != os.geteuid():
        raise PlantError(f"{folder} belongs to another account", f"run this as {folder.owner()}")


def _told(certificate: Certificate) -> dict[str, Any]:
    from runtime.cli.session import iso_time

    return {
        "subject": certificate.subject,
        "names": certificate.names,
        "fingerprint": certificate.fingerprint,
        "until": iso_time(certificate.until_ns),
    }
