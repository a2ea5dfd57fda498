"""Certificates of users, as servers ask for them that are not the API."""

import asyncio

import pytest

from runtime.assembly import assemble
from runtime.clock import WallClock
from runtime.contract import Actor, Role
from runtime.errors import ForbiddenError
from runtime.gate.certificates import Certificates
from runtime.kernel import Kernel, KernelPort
from runtime.tls.certificate import check_client
from runtime.tls.issue import new_client

PLANT = """plant: p
root: s/a
history: null
users:
  - {name: anna, role: operator}
"""
ADMIN = Actor("root", Role.ADMIN, "local")


@pytest.mark.parametrize("by_rsa", [True, False])
def test_who_shows_a_certificate_acts_as_its_user_until_it_ends(tmp_path, by_rsa):
    (tmp_path / "plant.yaml").write_text(PLANT)
    (tmp_path / "tags.csv").write_text("path,type,access,initial\nline/sp,REAL,rw,5\n")
    kernel = Kernel(assemble(tmp_path / "plant.yaml"), WallClock())
    port = KernelPort(kernel, "server")
    _, pem = new_client("anna", 1, kernel.clock.now_ns(), by_rsa)
    known = check_client(pem, kernel.clock.now_ns())

    async def main():
        certificates = Certificates(kernel.identity, kernel.journal, kernel.clock)
        await kernel.journal.open()
        try:
            assert port.authenticate_certificate(known.fingerprint, "opcua") is None
            await certificates.add("anna", pem.decode(), ADMIN)
            anna = port.authenticate_certificate(known.fingerprint, "opcua")
            assert (anna.name, anna.role, anna.via) == ("anna", Role.OPERATOR, "opcua")
            await port.write(kernel.table["line/sp"], 6, anna)
            assert (await kernel.journal.audit(1))[0].via == "opcua"
            assert kernel.identity.by_certificate(known.fingerprint, known.until_ns, "opcua") is None
            await certificates.end(known.fingerprint, ADMIN)
            with pytest.raises(ForbiddenError, match="log in again"):
                await port.write(kernel.table["line/sp"], 7, anna)
        finally:
            await kernel.journal.close()

    asyncio.run(main())
