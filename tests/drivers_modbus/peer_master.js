// A foreign master: reads, writes and is refused; prints one JSON object.
// Arguments: "tcp" and port, or "rtu" and serial device.
const ModbusRTU = require("modbus-serial");
const [kind, where] = process.argv.slice(2);

async function main() {
  const master = new ModbusRTU();
  if (kind === "tcp") await master.connectTCP("127.0.0.1", { port: Number(where) });
  else await master.connectRTUBuffered(where, { baudRate: 19200, parity: "none" });
  master.setID(1);
  master.setTimeout(60000);
  const found = {};
  found.parts = (await master.readDiscreteInputs(0, 1)).data[0];
  found.inputs = (await master.readInputRegisters(0, 3)).data;
  await master.writeCoil(0, true);
  await master.writeCoils(0, [true, true]);
  found.coils = (await master.readCoils(0, 2)).data.slice(0, 2);
  await master.writeRegister(2, 41);
  await master.writeRegisters(0, [0x4020, 0, 42]);
  found.holding = (await master.readHoldingRegisters(0, 3)).data;
  found.refused = await master.readHoldingRegisters(100, 1).then(() => 0, (error) => error.modbusCode);
  found.identity = (await master.readDeviceIdentification(1, 0)).data[0];
  await new Promise((done) => master.close(done));
  console.log(JSON.stringify(found));
}

main().catch((error) => { console.error(error); process.exit(1); });
