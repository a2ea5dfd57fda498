// A foreign server: 1,000 variables that move, one to write, an array, a method, an alarm; "ready" when it listens.
// Arguments: port, folder for its own certificate.
const ua = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { nodesets } = require("node-opcua-nodesets");
const { DataType, Variant, VariantArrayType } = require("node-opcua-variant");
const { StatusCodes } = require("node-opcua-status-code");
const [port, pki] = process.argv.slice(2);

async function main() {
  const manager = new OPCUACertificateManager({ rootFolder: pki, automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const server = new ua.OPCUAServer({
    port: +port,
    hostname: "127.0.0.1",
    nodeset_filename: [nodesets.standard],
    serverCertificateManager: manager,
    userManager: { isValidUser: (name, password) => name === "anna" && password === "geheim" },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.getOwnNamespace();
  const line = own.addObject({ organizedBy: space.rootFolder.objects, nodeId: "s=Line", browseName: "Line" });
  const moving = [];
  for (let i = 0; i < 1000; i++) {
    moving.push(own.addVariable({
      componentOf: line, nodeId: `s=v${i}`, browseName: `v${i}`, dataType: "Double", minimumSamplingInterval: 0,
      value: new Variant({ dataType: DataType.Double, value: 0 }),
    }));
  }
  own.addVariable({ componentOf: line, nodeId: "s=set", browseName: "set", dataType: "Float",
    value: new Variant({ dataType: DataType.Float, value: 1.5 }) });
  own.addVariable({ componentOf: line, nodeId: "s=array", browseName: "array", dataType: "Int32", valueRank: 1,
    arrayDimensions: [3], value: new Variant({ dataType: DataType.Int32, arrayType: VariantArrayType.Array,
      value: new Int32Array([1, 2, 3]) }) });
  own.addVariable({ componentOf: line, nodeId: "s=fixed", browseName: "fixed", dataType: "Int16",
    accessLevel: "CurrentRead", userAccessLevel: "CurrentRead",
    value: new Variant({ dataType: DataType.Int16, value: 4 }) });
  let called = 0;
  own.addVariable({ componentOf: line, nodeId: "s=called", browseName: "called", dataType: "Int32",
    minimumSamplingInterval: 10, value: { get: () => new Variant({ dataType: DataType.Int32, value: called }) } });
  const method = own.addMethod(line, { nodeId: "s=Start", browseName: "Start",
    inputArguments: [{ name: "number", dataType: DataType.Int32 }], outputArguments: [] });
  method.bindMethod((given, _context, answer) => {
    called = given[0].value;
    answer(null, { statusCode: called < 0 ? StatusCodes.BadOutOfRange : StatusCodes.Good, outputArguments: [] });
  });
  space.installAlarmsAndConditionsService();
  const tank = own.addObject({ organizedBy: space.rootFolder.objects, nodeId: "s=Tank", browseName: "Tank",
    eventNotifier: 1, eventSourceOf: space.rootFolder.objects.server });
  const level = own.addVariable({ componentOf: tank, nodeId: "s=level", browseName: "level", dataType: "Double",
    eventSourceOf: tank, value: new Variant({ dataType: DataType.Double, value: 95 }) });
  const alarm = own.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", { componentOf: tank,
    nodeId: "s=High", browseName: "High", optionals: ["ConfirmedState", "Confirm"], conditionSource: level, inputNode: level, highHighLimit: 90,
    highLimit: 80, lowLimit: -1, lowLowLimit: -2 });
  alarm.setEnabledState(true);
  own.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", { componentOf: tank, nodeId: "s=Plain",
    browseName: "Plain", conditionSource: level, inputNode: level, highHighLimit: 96, highLimit: 85,
    lowLimit: -1, lowLowLimit: -2 }).setEnabledState(true);
  own.addVariable({ componentOf: tank, nodeId: "s=acked", browseName: "acked", dataType: "String",
    minimumSamplingInterval: 10, value: { get: () => new Variant({ dataType: DataType.String,
      value: alarm.ackedState.getValue() ? alarm.comment.readValue().value.value.text || "" : "no" }) } });
  own.addVariable({ componentOf: tank, nodeId: "s=confirmed", browseName: "confirmed", dataType: "Boolean",
    minimumSamplingInterval: 10, value: { get: () => new Variant({ dataType: DataType.Boolean,
      value: alarm.confirmedState.id.readValue().value.value === true }) } });
  let tick = 0;
  setInterval(() => {
    tick += 1;
    for (const each of moving) each.setValueFromSource({ dataType: DataType.Double, value: tick });
  }, 1000);
  await server.start();
  console.log("ready");
}

main().catch((error) => { console.error(error); process.exit(1); });
