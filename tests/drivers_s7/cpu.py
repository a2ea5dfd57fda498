"""A CPU as a process: python-snap7's own server, with what it lacks. Run with its settings as JSON.

Of python-snap7 3.3.0's server: it writes the whole byte where one bit is written, tells no mode, grants one
request at a time and 480 bytes at most, and protects nothing.
"""

import json
import logging
import struct
import sys
import threading

from snap7.server import CPUState, Server
from snap7.type import SrvArea

BIT = 1


class Cpu(Server):
    def __init__(self, settings):
        super().__init__(log=False)
        self.host = settings.get("host", "127.0.0.1")
        self.settings = {
            "pdu": 240,
            "jobs": 1,
            "denied": [],
            "held": {},
            "put_get": True,
            "mode": True,
        } | settings
        for number, size in self.settings["dbs"].items():
            self.register_area(SrvArea.DB, int(number), bytearray(size))
        for area in (SrvArea.PE, SrvArea.PA, SrvArea.MK, SrvArea.TM, SrvArea.CT):
            self.register_area(area, 0, bytearray(256))

    def _handle_setup_communication(self, request):
        reply = super()._handle_setup_communication(request)
        pdu = min(request["parameters"]["pdu_length"], self.settings["pdu"])
        jobs = min(request["parameters"]["max_amq_caller"], self.settings["jobs"])
        return reply[:14] + struct.pack(">HHH", jobs, jobs, pdu)

    def _handle_read_area(self, request, client_address):
        if not self.settings["put_get"]:
            return self._build_error_response(request, 0x8104)
        return super()._handle_read_area(request, client_address)

    def _read_from_memory_area(self, area, db_number, start, count):
        if db_number in self.settings["denied"]:
            return 0x03, bytearray()
        return super()._read_from_memory_area(area, db_number, start, count)

    def _write_to_memory_area(self, area, db_number, start, write_data):
        if db_number in self.settings["denied"]:
            return False
        held = self.settings["held"]  # places in data blocks that its program sets itself
        kept = [held.get(f"{db_number}.{start + at}", byte) for at, byte in enumerate(write_data)]
        return super()._write_to_memory_area(area, db_number, start, bytearray(kept))

    def _handle_write_area(self, request, client_address):
        spec = request["raw_parameters"][2:14]
        if spec[3] != BIT:
            return super()._handle_write_area(request, client_address)
        place = request["parameters"]["address_spec"]
        bit = 1 << (spec[11] & 7)
        with self.area_locks[place["area"], place["db_number"]]:
            was = self.memory_areas[place["area"], place["db_number"]][place["start"]]
        now = was | bit if request["data"]["data"][0] else was & ~bit
        request["data"]["data"] = bytes([now])
        return super()._handle_write_area(request, client_address)

    def _get_szl_data(self, szl_id, szl_index):
        if szl_id != 0x0424 or not self.settings["mode"]:
            return super()._get_szl_data(szl_id, szl_index)
        mode = 0x8 if self.cpu_state == CPUState.RUN else 0x4
        return struct.pack(">HH", 20, 1) + bytes([0x43, 0x02, 0xFF, 0x50 | mode]) + bytes(16)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    given = json.loads(sys.argv[1])
    server = Cpu(given)
    server.start(given["port"])
    print("ready", flush=True)
    threading.Event().wait()
