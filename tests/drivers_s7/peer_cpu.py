"""A CPU as a process: snap7's own server, in C++, as python-snap7 1.4 brings it along. Argument: its port."""

import ctypes
import struct
import sys
import threading

from snap7.server import Server
from snap7.types import srvAreaDB, srvAreaMK, srvAreaPA, srvAreaPE

field = bytearray(64)
field[0] = 0b1010_1000
struct.pack_into(">hfd", field, 2, -7, 1.5, -2.25)
field[20:25] = b"\x0a\x03abc"
blocks = [(srvAreaDB, 1, field), (srvAreaDB, 2, bytearray(64))]
blocks += [(area, 0, bytearray(64)) for area in (srvAreaPE, srvAreaPA, srvAreaMK)]
areas = [(area, number, (ctypes.c_uint8 * len(data)).from_buffer(data)) for area, number, data in blocks]
server = Server(log=False)
for each in areas:
    server.register_area(*each)
server.start(int(sys.argv[1]))
print("ready", flush=True)
threading.Event().wait()
