"""The client against python-snap7's server in a process: values cross, the CPU goes and comes back."""

import struct
from datetime import datetime, timedelta

from snap7 import util

from runtime.contract import Access, DataType, Quality

GOOD = int(Quality.GOOD)
SECOND = 10**9
NOON = datetime.fromisoformat("2026-11-28T12:00:00.250")
NOON_NS = (NOON - datetime.fromisoformat("1970-01-01")) // timedelta(microseconds=1) * 1000


def test_every_kind_of_value_crosses_both_ways(side, tag, wait, device, play):
    cpu = device(pdu=480)
    field = bytearray(400)
    field[0] = 0b1000
    struct.pack_into(">hfdQi", field, 2, -7, 1.5, -2.25, 2**63 + 1, 90_500)
    util.set_string(field, 30, "Öl 7", 20)
    util.set_wstring(field, 60, "橙汁", 10)
    util.set_dt(field, 90, NOON)
    util.set_dtl(field, 100, NOON)
    field[112:114] = b"\x21\x27"
    field[114] = ord("A")
    cpu.put(1, 0, field)
    read = [
        ("bit", DataType.BOOL, "DB1.DBX0.3", True),
        ("int", DataType.INT, "DB1.DBW2", -7),
        ("scaled", DataType.REAL, "DB1.INT2*0.5+1", -2.5),
        ("real", DataType.REAL, "DB1.DBD4:REAL", 1.5),
        ("lreal", DataType.LREAL, "DB1.LREAL8", -2.25),
        ("ulint", DataType.ULINT, "DB1.ULINT16", 2**63 + 1),
        ("time", DataType.TIME, "DB1.DBD24:TIME", 90_500 * 10**6),
        ("string", DataType.STRING, "DB1.STRING30[20]", "Öl 7"),
        ("wstring", DataType.STRING, "DB1.WSTRING60[10]", "橙汁"),
        ("dt", DataType.DT, "DB1.DT90", NOON_NS),
        ("dtl", DataType.DT, "DB1.DTL100", NOON_NS),
        ("s5time", DataType.TIME, "DB1.DBW112:S5TIME", 127 * SECOND),
        ("char", DataType.STRING, "DB1.CHAR114", "A"),
        ("flag", DataType.INT, "MW10", 0),
        ("input", DataType.BOOL, "E0.0", False),
        ("timer", DataType.TIME, "T5", 0),
        ("counter", DataType.INT, "C5", 0),
    ]
    written = [
        ("lamp", DataType.BOOL, "DB1.DBX200.1", True),
        ("speed", DataType.REAL, "DB1.DBD202", -3.5),
        ("mode", DataType.INT, "DB1.DBW206", 12),
        ("recipe", DataType.STRING, "DB1.STRING210[10]", "cola"),
        ("motor", DataType.BOOL, "A2.5", True),
        ("until", DataType.DT, "DB1.DTL230", NOON_NS),
    ]
    client = side(
        [tag(*row[:3]) for row in read] + [tag(*row[:3], source="plc") for row in written], port=cpu.port
    )
    cpu.put(1, 200, b"\xf0")
    cpu.put(1, 210, b"\x0a")

    async def body():
        for name, _, _, value in written:
            client.port.set(name, value)
        await wait(lambda: all(client.port.value(name) == value for name, _, _, value in read))
        assert all(client.port.quality(name) == GOOD for name, *_ in read)
        expected = bytearray(12)
        util.set_dtl(expected, 0, NOON)
        await wait(lambda: cpu.get(1, 230, 12) == expected)
        assert cpu.get(1, 200, 8) == b"\xf2\0" + struct.pack(">fh", -3.5, 12)  # the byte's other bits stayed
        assert util.get_string(bytearray(cpu.get(1, 210, 12)), 0) == "cola"
        with cpu.hand() as hand:
            assert bytes(hand.ab_read(2, 1)) == b"\x20"
            hand.mb_write(10, 2, bytearray(b"\x01\x02"))
        client.port.set("lamp", False)
        await wait(lambda: client.port.value("flag") == 0x0102)
        await wait(lambda: cpu.get(1, 200, 1) == b"\xf0")
        client.port.set("mode", 9, Quality.BAD_DEVICE_FAILURE)
        client.port.set("speed", 1.0)
        await wait(lambda: cpu.get(1, 202, 6) == struct.pack(">fh", 1.0, 12))  # a bad value is not written

    play(client, body)


def specs(tag):
    return [tag("count", DataType.INT, "DB1.DBW0"), tag("mode", DataType.INT, "DB1.DBW10", source="plc")]


def test_a_killed_cpu_is_uncertain_then_bad_and_good_again_without_restart(side, tag, wait, device, play):
    cpu = device()
    client = side(specs(tag), port=cpu.port)
    cpu.put(1, 0, b"\x00\x07")

    async def body():
        client.port.set("mode", 3)
        await wait(lambda: client.port.value("count") == 7 and cpu.get(1, 10, 2) == b"\0\3")
        await wait(lambda: client.port.value("sys/drivers/io/cpu") == "run")
        cpu.kill()
        await wait(lambda: client.port.quality("count") == Quality.BAD_NO_COMMUNICATION)
        await wait(lambda: client.port.value("sys/drivers/io/online") is False)
        assert client.port.quality("sys/drivers/io/cpu") == Quality.BAD_NO_COMMUNICATION
        id_ = client.port.tags["count"].id
        told = [row.quality for batch in client.port.submitted for row in batch if row.id == id_]
        assert told[-3:] == [GOOD, Quality.UNCERTAIN_LAST_USABLE_VALUE, Quality.BAD_NO_COMMUNICATION]
        assert not client.port.healthy
        cpu.start(pdu=480)  # it grants longer messages now, and has forgotten everything
        await wait(lambda: client.port.quality("count") == GOOD)
        assert client.port.value("count") == 0
        await wait(lambda: cpu.get(1, 10, 2) == b"\0\3")  # outputs are written again
        kinds = [each.kind for each in client.port.emitted]
        assert kinds == ["driver.online", "driver.offline", "driver.online"]

    play(client, body)


def test_a_frozen_cpu_is_bad_in_time_does_not_hold_up_the_end_and_thaws(side, tag, wait, device, play):
    cpu = device()
    client = side(specs(tag), port=cpu.port, timeout="300ms")
    cpu.put(1, 0, b"\x00\x07")

    async def freeze():
        await wait(lambda: client.port.value("count") == 7)
        cpu.freeze()
        await wait(lambda: client.port.quality("count") == Quality.BAD_NO_COMMUNICATION)
        await wait(lambda: client.port.value("sys/drivers/io/online") is False)
        assert client.port.value("sys/drivers/io/timeouts") >= 2
        cpu.thaw()
        await wait(lambda: client.port.quality("count") == GOOD)
        cpu.freeze()  # and the plant ends now: `play` gives it a second

    play(client, freeze)


def test_a_cpu_that_is_only_written_is_missed_too(side, tag, wait, device, play, monkeypatch):
    monkeypatch.setattr("drivers.s7.polling.STATE_EVERY", 1)
    cpu = device()
    client = side([tag("mode", DataType.INT, "MW0", source="plc")], port=cpu.port, timeout="300ms")

    async def body():
        await wait(lambda: client.port.value("sys/drivers/io/cpu") == "run")
        cpu.freeze()
        await wait(lambda: client.port.value("sys/drivers/io/online") is False)

    play(client, body)


def test_what_a_person_writes_is_read_back(side, tag, wait, device, play):
    cpu = device()
    more = {"access": Access.READ_WRITE}
    tags = [
        tag("setpoint", DataType.REAL, "DB1.INT0*0.1", **more),
        tag("enable", DataType.BOOL, "DB1.DBX2.5", **more),
        tag("name", DataType.STRING, "DB1.STRING10[6]", **more),
        tag("long", DataType.STRING, "DB1.WSTRING100[200]", **more),
        tag("gone", DataType.INT, "DB1.DBW2000", **more),
    ]
    client = side(tags, port=cpu.port)
    cpu.put(1, 2, b"\x0f")

    async def body():
        await wait(lambda: client.port.value("setpoint") == 0)
        assert await client.port.command("setpoint", 12.5) is None
        assert client.port.value("setpoint") == 12.5
        assert cpu.get(1, 0, 2) == b"\0\x7d"
        assert await client.port.command("enable", True) is None
        assert cpu.get(1, 2, 1) == b"\x2f"
        assert await client.port.command("name", "Ada") is None
        assert cpu.get(1, 10, 8) == b"\0\3Ada\0\0\0"
        assert await client.port.command("long", "é" * 200) is None  # longer than a message
        await wait(lambda: client.port.value("long") == "é" * 200)
        assert "does not fit" in await client.port.command("setpoint", 1e6)
        assert "does not fit" in await client.port.command("name", "too long a name")
        assert "0x8404" in await client.port.command("gone", 1)
        cpu.kill()
        await wait(lambda: client.port.value("sys/drivers/io/online") is False)
        assert "offline" in await client.port.command("setpoint", 1.0)

    play(client, body)


def test_wrong_short_and_protected_blocks_do_not_hurt_their_neighbours(side, tag, wait, device, play):
    cpu = device(dbs={"1": 100, "5": 40, "6": 40}, denied=[6])
    rows = [
        *[(f"good{at}", f"DB1.DBW{at}") for at in range(0, 100, 10)],
        *[(f"short{at}", f"DB5.DBW{at}") for at in range(30, 50, 2)],
        *[(f"none{at}", f"DB9.DBW{at}") for at in range(0, 600, 2)],
        *[(f"denied{at}", f"DB6.DBW{at}") for at in range(0, 6, 2)],
    ]
    out = [tag("out", DataType.INT, "DB9.DBW0", source="plc")]
    client = side([*(tag(name, DataType.INT, at) for name, at in rows), *out], port=cpu.port)
    wrong = {f"short{at}" for at in range(40, 50, 2)}
    wrong |= {name for name, _ in rows if name.startswith(("none", "denied"))}

    async def body():
        client.port.set("out", 1)
        waiting = Quality.BAD_WAITING_FOR_INITIAL_DATA
        await wait(lambda: all(client.port.quality(name) != waiting for name, _ in rows))
        assert {name for name, _ in rows if client.port.quality(name) != GOOD} == wrong
        assert all(client.port.quality(name) == Quality.BAD_CONFIGURATION_ERROR for name in wrong)
        told = [each.text for each in client.kinds("driver.address_refused")]
        assert len([text for text in told if "DB9" in text]) == 1  # one cause, one word
        assert any("DB9: the CPU refuses: no such object" in text and "and 297 more" in text for text in told)
        assert len([text for text in told if "DB6: the CPU refuses: access not allowed" in text]) == 1
        assert len([text for text in told if "DB5.DBB" in text]) == 5
        await wait(lambda: len(client.kinds("driver.write_refused")) == 1)
        cpu.put(1, 90, b"\0\7")
        await wait(lambda: client.port.value("good90") == 7)
        assert len(client.kinds("driver.address_refused")) == len(told)
        assert client.port.value("sys/drivers/io/online") is True

    play(client, body)


def test_a_data_block_that_was_too_short_is_read_as_one_again_when_it_is_long_enough(
    side, tag, wait, device, play
):
    cpu = device(dbs={"1": 40})
    rows = {f"r{at}": at for at in range(30, 50, 2)}
    client = side([tag(name, DataType.INT, f"DB1.DBW{at}") for name, at in rows.items()], port=cpu.port)
    (scan,) = client.component.scans
    assert len(scan.blocks) == 1

    async def body():
        short = {name for name, at in rows.items() if at >= 40}
        await wait(lambda: {name for name in rows if client.port.quality(name) != GOOD} == short)
        assert len(scan.blocks) > 1
        cpu.kill()
        cpu.start(dbs={"1": 100})
        await wait(lambda: all(client.port.quality(name) == GOOD for name in rows))
        await wait(lambda: len(scan.blocks) == 1)
        cpu.put(1, 48, b"\0\7")
        await wait(lambda: client.port.value("r48") == 7)

    play(client, body)


def test_a_cpu_without_put_get_says_so(side, tag, wait, device, play):
    cpu = device(put_get=False, mode=False)
    client = side([tag("a", DataType.INT, "DB1.DBW0"), tag("b", DataType.INT, "DB1.DBW900")], port=cpu.port)

    async def body():
        await wait(lambda: client.port.quality("b") == Quality.BAD_CONFIGURATION_ERROR)
        (event,) = client.kinds("driver.address_refused")
        assert "PUT/GET" in event.text
        assert client.port.value("sys/drivers/io/online") is True
        await wait(lambda: client.port.quality("sys/drivers/io/cpu") == Quality.BAD_CONFIGURATION_ERROR)

    play(client, body)


def test_the_backup_is_gone_over_to_and_kept(side, tag, wait, device, play):
    first = device()
    second = device(host="127.0.0.2", port=first.port)
    client = side([tag("a", DataType.INT, "DB1.DBW0")], port=first.port, backup="127.0.0.2")
    first.put(1, 0, b"\0\1")
    second.put(1, 0, b"\0\2")

    async def body():
        await wait(lambda: client.port.value("a") == 1)
        first.kill()
        await wait(lambda: client.port.value("a") == 2 and client.port.quality("a") == GOOD)
        assert client.port.value("sys/drivers/io/online") is True

    play(client, body)


def test_a_thousand_tags_take_few_requests(side, tag, wait, device, play, monkeypatch):
    monkeypatch.setattr("drivers.s7.polling.STATE_EVERY", 1000)
    cpu = device(dbs={"1": 8000}, pdu=960, jobs=8)
    tags = [tag(f"t{n}", DataType.REAL, f"DB1.DBD{4 * n}") for n in range(1000)]
    client = side(tags, port=cpu.port, groups={"once": {"period": "1h", "tags": ["t*"]}})
    cpu.put(1, 4 * 999, struct.pack(">f", 9.5))

    async def body():
        await wait(lambda: client.port.value("t999") == 9.5)
        await wait(lambda: client.port.value("sys/drivers/io/cpu") == "run")
        await wait(lambda: (client.port.value("sys/drivers/io/requests") or 0) >= 6)
        assert client.port.value("sys/drivers/io/requests") <= 6  # five reads, and the mode

    play(client, body)


def test_small_changes_stay_untold_where_a_deadband_says_so(side, tag, wait, device, play):
    cpu = device()
    tags = [tag("level", DataType.INT, "DB1.DBW0"), tag("beat", DataType.INT, "DB1.DBW2")]
    client = side(tags, port=cpu.port, groups={"calm": {"period": "20ms", "deadband": 5, "tags": ["level"]}})

    async def body():
        for beat, level in enumerate((100, 104, 96, 106), 1):
            cpu.put(1, 0, struct.pack(">hh", level, beat))
            await wait(lambda beat=beat: client.port.value("beat") == beat)
        await wait(lambda: client.port.value("level") == 106)
        id_ = client.port.tags["level"].id
        told = [row.raw for batch in client.port.submitted for row in batch if row.id == id_]
        assert told in ([0, 100, 106], [100, 106])

    play(client, body)


def test_a_refused_output_does_not_hold_up_its_neighbours(side, tag, wait, device, play):
    cpu = device(dbs={"1": 20})
    tags = [tag(f"out{at}", DataType.INT, f"DB1.DBW{at}", source="plc") for at in range(0, 24, 2)]
    client = side(tags, port=cpu.port)
    well = b"".join(struct.pack(">h", at + 1) for at in range(0, 20, 2))

    async def body():
        for at in range(0, 24, 2):
            client.port.set(f"out{at}", at + 1)
        await wait(lambda: cpu.get(1, 0, 20) == well)
        await wait(lambda: len(client.kinds("driver.write_refused")) == 2)
        client.port.set("out0", 7)
        await wait(lambda: cpu.get(1, 0, 2) == b"\0\7")
        assert len(client.kinds("driver.write_refused")) == 2

    play(client, body)


def test_a_cpu_that_starts_gets_its_outputs_again(side, tag, wait, device, play, monkeypatch):
    monkeypatch.setattr("drivers.s7.polling.STATE_EVERY", 1)
    cpu = device()
    tags = [tag("mode", DataType.INT, "MW0", source="plc"), tag("a", DataType.INT, "DB1.DBW0")]
    client = side(tags, port=cpu.port)

    async def body():
        client.port.set("mode", 3)
        await wait(lambda: client.port.value("sys/drivers/io/cpu") == "run")
        with cpu.hand() as hand:
            await wait(lambda: bytes(hand.mb_read(0, 2)) == b"\0\3")
            hand.plc_stop()
            await wait(lambda: client.port.value("sys/drivers/io/cpu") == "stop")
            assert "from run to stop" in client.kinds("driver.cpu")[0].text
            hand.mb_write(0, 2, bytearray(2))
            hand.plc_hot_start()
            await wait(lambda: bytes(hand.mb_read(0, 2)) == b"\0\3")

    play(client, body)


def test_a_cpu_that_wants_it_is_read_tag_by_tag_with_pauses(side, tag, wait, device, play, monkeypatch):
    monkeypatch.setattr("drivers.s7.polling.STATE_EVERY", 1000)
    cpu = device(pdu=960, jobs=8)
    tags = [tag(f"t{n}", DataType.INT, f"DB1.DBW{2 * n}") for n in range(10)]
    client = side(tags, port=cpu.port, period="1h", single_reads=True, pause="5ms")

    async def body():
        await wait(lambda: client.port.quality("t9") == GOOD)
        await wait(lambda: (client.port.value("sys/drivers/io/requests") or 0) >= 11)
        assert client.port.value("sys/drivers/io/requests") == 11  # and the mode
        assert client.port.value("sys/drivers/io/scan_requests") == 10

    play(client, body)


HELD = {
    "1.2": 0,
    "1.3": 5,
    "1.10": 0x10,
    "1.41": 2,
    "1.42": ord("x"),
}  # bytes that the CPU's program sets itself


def outputs(tag):
    rows = [
        ("good", DataType.INT, "DB1.DBW0", 1),
        ("stuck", DataType.INT, "DB1.DBW2", 2),
        ("bit", DataType.BOOL, "DB1.DBX10.3", True),
        ("other", DataType.BOOL, "DB1.DBX11.0", True),
        ("scaled", DataType.REAL, "DB1.INT20*0.1", 1.27),
        ("name", DataType.STRING, "DB1.STRING30[4]", "Ada"),
        ("text", DataType.STRING, "DB1.STRING40[4]", "no"),
        ("long", DataType.STRING, "DB1.WSTRING100[200]", "é" * 200),
        ("until", DataType.DT, "DB1.DTL600", NOON_NS),
    ]
    return [tag(*row[:3], source="plc") for row in rows], {row[0]: row[3] for row in rows}


def test_what_programs_write_is_read_back_and_what_the_cpu_changes_back_is_told_once(
    side, tag, wait, device, play
):
    cpu = device(held=HELD)
    tags, values = outputs(tag)
    client = side([*tags, tag("a", DataType.INT, "DB1.DBW900")], port=cpu.port)

    async def body():
        for name, value in values.items():
            client.port.set(name, value)
        await wait(lambda: "3 outputs are not as written" in client.port.health_text)
        assert client.port.value("sys/drivers/io/state") == "degraded"
        paths = [path for event in client.kinds("driver.write_differs") for path in event.data["tags"]]
        assert sorted(paths) == [client.port.tags[name].path for name in ("bit", "stuck", "text")]
        told = len(client.kinds("driver.write_differs"))
        client.port.set("stuck", 3)
        client.port.set("bit", False)  # which is what the CPU has
        await wait(lambda: "2 outputs are not as written" in client.port.health_text)
        client.port.set("stuck", 5)
        client.port.set("text", "xo")
        await wait(lambda: not client.port.health_text)
        assert len(client.kinds("driver.write_differs")) == told
        assert client.port.value("sys/drivers/io/state") == "online"

    play(client, body)


def test_outputs_are_not_read_back_where_nobody_wants_it(side, tag, wait, device, play, monkeypatch):
    monkeypatch.setattr("drivers.s7.polling.STATE_EVERY", 1000)
    cpu = device(held=HELD)
    client = side([tag("stuck", DataType.INT, "DB1.DBW2", source="plc")], port=cpu.port, verify=False)

    async def body():
        await wait(lambda: (client.port.value("sys/drivers/io/requests") or 0) > 0)
        asked = client.port.value("sys/drivers/io/requests")
        client.port.set("stuck", 2)
        await wait(lambda: client.port.value("sys/drivers/io/requests") > asked)
        assert cpu.get(1, 2, 2) == b"\0\5"
        assert client.port.value("sys/drivers/io/requests") == asked + 1
        assert not client.kinds("driver.write_differs")

    play(client, body)
