// A foreign device: register n reads 100 + n, or what was written to it. Argument: port.
const { ServerTCP } = require("modbus-serial");
const written = {};
const vector = {
  getInputRegister: (address) => 100 + address,
  getHoldingRegister: (address) => written[address] ?? 100 + address,
  getDiscreteInput: (address) => address % 2 === 1,
  getCoil: (address) => Boolean(written[`coil ${address}`]),
  setRegister: (address, value) => { written[address] = value; },
  setCoil: (address, value) => { written[`coil ${address}`] = value; },
};
const server = new ServerTCP(vector, { host: "127.0.0.1", port: Number(process.argv[2]), unitID: 1 });
server.on("initialized", () => console.log("ready"));
