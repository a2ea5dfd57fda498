"""Foreign programs on both ends: pymodbus; mbpoll and modbus-serial where they can be had."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

from runtime.contract import DataType, Quality

HERE = Path(__file__).parent


def device(side, tag, **config):
    return side(
        [
            tag("run", DataType.BOOL, "00001"),
            tag("valve", DataType.BOOL, "00002"),
            tag("part", DataType.BOOL, "10001", source="twin"),
            tag("count", DataType.INT, "30001", source="twin"),
            tag("torque", DataType.REAL, "30002", source="twin"),
            tag("speed", DataType.REAL, "40001"),
            tag("mode", DataType.INT, "40003"),
        ],
        "server",
        **config,
    )


def with_server(server, body):
    async def main():
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            serving = server.start(group)
            await server.component.listening.wait()
            for name, value in (("part", True), ("count", -5), ("torque", 1.5)):
                server.port.set(name, value)
            await body(server.component.port)
            serving.cancel()

    asyncio.run(main())


def test_pymodbus_as_master_of_our_device(side, tag):
    server = device(side, tag)

    async def body(port):
        async with AsyncModbusTcpClient("127.0.0.1", port=port, timeout=30) as master:
            assert (await master.read_discrete_inputs(0, count=1)).bits[0] is True
            registers = (await master.read_input_registers(0, count=3)).registers
            assert registers == [65531, 0x3FC0, 0]
            await master.write_coils(0, [True, True])
            await master.write_registers(0, [0x4020, 0, 7])
            assert (await master.read_holding_registers(0, count=3)).registers == [0x4020, 0, 7]
            assert (await master.read_coils(0, count=2)).bits[:2] == [True, True]
            assert (await master.mask_write_register(address=2, and_mask=0, or_mask=9)).isError() is False
            refused = await master.read_holding_registers(100, count=1)
            assert refused.isError()
            assert refused.exception_code == 2
        assert [server.port.value(name) for name in ("run", "valve", "speed", "mode")] == [True, True, 2.5, 9]

    with_server(server, body)


def test_our_client_on_a_device_of_pymodbus(side, tag, wait):
    async def main():
        registers = SimData(0, values=[0, 0, 7, 0x3FC0, 0, 0, 0, 0], datatype=SimType.REGISTERS)
        foreign = ModbusTcpServer(SimDevice(1, simdata=[registers]), address=("127.0.0.1", 0))
        await foreign.serve_forever(background=True)
        port = foreign.transport.sockets[0].getsockname()[1]
        client = side(
            [
                tag("mode", DataType.INT, "40003"),
                tag("torque", DataType.REAL, "40004"),
                tag("speed", DataType.REAL, "40006", source="plc"),
                tag("speed_back", DataType.REAL, "40006"),
                tag("wrong", DataType.INT, "40100"),
            ],
            "client",
            port=port,
        )
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            client.port.set("speed", -2.25)
            await wait(lambda: client.port.value("mode") == 7 and client.port.value("torque") == 1.5)
            await wait(lambda: client.port.value("speed_back") == -2.25)
            await wait(lambda: client.port.quality("wrong") == Quality.BAD_CONFIGURATION_ERROR)
            polling.cancel()
        await foreign.shutdown()

    asyncio.run(main())


@pytest.fixture(scope="module")
def mbpoll(debian_package):
    """Return the program mbpoll, installed from Debian if this machine lets us."""
    if found := shutil.which("mbpoll"):
        return found
    if trouble := debian_package("mbpoll"):
        pytest.skip(trouble)
    return shutil.which("mbpoll") or pytest.skip("mbpoll was installed but is not on the path")


@pytest.mark.peer
def test_mbpoll_reads_and_writes_our_device(side, tag, mbpoll):
    server = device(side, tag)

    async def run(port, *arguments):
        process = await asyncio.create_subprocess_exec(
            mbpoll, "-m", "tcp", "-p", str(port), "-a", "1", "-1", "-q", "-o", "10",
            *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return out.decode(), process.returncode

    async def body(port):
        host = "127.0.0.1"
        out, code = await run(port, "-t", "3", "-r", "1", "-c", "3", host)
        assert code == 0, out
        assert "65531 (-5)" in out
        out, code = await run(port, "-t", "3:float", "-B", "-r", "2", "-c", "1", host)
        assert "1.5" in out, out
        out, code = await run(port, "-t", "1", "-r", "1", "-c", "1", host)
        assert out.split()[-1] == "1", out
        out, code = await run(port, "-t", "0", "-r", "1", host, "1", "1")
        assert code == 0, out
        out, code = await run(port, "-t", "4", "-r", "3", host, "42")
        assert code == 0, out
        assert server.port.value("run") is True
        assert server.port.value("mode") == 42
        out, code = await run(port, "-t", "4", "-r", "200", "-c", "1", host)
        assert "Illegal data address" in out

    with_server(server, body)


@pytest.mark.peer
def test_mbpoll_reads_and_writes_our_device_on_a_serial_line(side, tag, mbpoll, line):
    async def main():
        with line() as pair:
            server = device(side, tag, serial={"device": pair.paths[0]})

            async def run(*arguments):
                process = await asyncio.create_subprocess_exec(
                    mbpoll, "-m", "rtu", "-b", "19200", "-P", "none", "-a", "1", "-1", "-q", "-o", "10",
                    *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                )  # fmt: skip
                out, _ = await process.communicate()
                return out.decode(), process.returncode

            async with asyncio.TaskGroup() as group, asyncio.timeout(60):
                serving = server.start(group)
                await server.component.listening.wait()
                server.port.set("count", -5)
                out, code = await run("-t", "3", "-r", "1", "-c", "3", pair.paths[1])
                assert code == 0, out
                assert "65531 (-5)" in out
                out, code = await run("-t", "4", "-r", "3", pair.paths[1], "42")
                assert code == 0, out
                assert server.port.value("mode") == 42
                out, code = await run("-t", "4", "-r", "200", "-c", "1", pair.paths[1])
                assert "Illegal data address" in out
                serving.cancel()

    asyncio.run(main())


@pytest.fixture(scope="module")
def modbus_serial(node_package):
    return os.environ | {"NODE_PATH": str(node_package("modbus-serial"))}


async def run_master(environment, *arguments):
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / "peer_master.js"), *arguments, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(out.decode().strip().splitlines()[-1])


def check_found(found, server):
    assert found["parts"] is True
    assert found["inputs"] == [65531, 0x3FC0, 0]
    assert found["coils"] == [True, True]
    assert found["holding"] == [0x4020, 0, 42]
    assert found["refused"] == 2
    assert found["identity"] == "Ironworks"
    assert [server.port.value(name) for name in ("run", "valve", "speed", "mode")] == [True, True, 2.5, 42]


@pytest.mark.peer
def test_modbus_serial_as_master_of_our_device(side, tag, modbus_serial):
    server = device(side, tag)

    async def body(port):
        check_found(await run_master(modbus_serial, "tcp", str(port)), server)

    with_server(server, body)


@pytest.mark.peer
def test_modbus_serial_as_master_on_a_serial_line(side, tag, modbus_serial, line):
    if not (Path(modbus_serial["NODE_PATH"]) / "serialport").exists():
        pytest.skip("npm left out serialport, which modbus-serial needs for lines")

    async def main():
        with line() as pair:
            server = device(side, tag, serial={"device": pair.paths[0]})
            async with asyncio.TaskGroup() as group, asyncio.timeout(60):
                serving = server.start(group)
                await server.component.listening.wait()
                for name, value in (("part", True), ("count", -5), ("torque", 1.5)):
                    server.port.set(name, value)
                check_found(await run_master(modbus_serial, "rtu", pair.paths[1]), server)
                serving.cancel()

    asyncio.run(main())


@pytest.mark.peer
def test_our_client_on_a_device_of_modbus_serial(side, tag, wait, modbus_serial, free_port):
    async def main():
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            "node", str(HERE / "peer_device.js"), str(port), env=modbus_serial, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(60):
                assert await process.stdout.readline() == b"ready\n"
                client = side(
                    [
                        tag("input", DataType.INT, "30008"),
                        tag("odd", DataType.BOOL, "10002"),
                        tag("mode", DataType.INT, "40003", source="plc"),
                        tag("speed", DataType.REAL, "40004", source="plc"),
                        tag("valve", DataType.BOOL, "00005", source="plc"),
                        tag("mode_back", DataType.INT, "40003"),
                        tag("speed_back", DataType.REAL, "40004"),
                        tag("valve_back", DataType.BOOL, "00005"),
                    ],
                    "client",
                    port=port,
                )
                async with asyncio.TaskGroup() as group:
                    polling = client.start(group)
                    for name, value in (("mode", -7), ("speed", 2.5), ("valve", True)):
                        client.port.set(name, value)
                    await wait(lambda: client.port.value("input") == 107 and client.port.value("odd") is True)
                    await wait(lambda: client.port.value("mode_back") == -7)
                    await wait(lambda: client.port.value("speed_back") == 2.5)
                    await wait(lambda: client.port.value("valve_back") is True)
                    polling.cancel()
        finally:
            process.kill()
            await process.wait()

    asyncio.run(main())
