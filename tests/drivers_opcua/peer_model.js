// A foreign client (node-opcua): walks the models of controller and machines, and calls a method.
// Arguments: URL, folder for its own certificate. Prints one JSON object on a line of its own.
const ua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const PLC = "http://PLCopen.org/OpcUa/IEC61131-3/";

async function main() {
  const client = ua.OPCUAClient.create({ applicationName: "peer", endpointMustExist: false,
    connectionStrategy: { maxRetry: 1, initialDelay: 100 },
    securityMode: ua.MessageSecurityMode.Sign, securityPolicy: ua.SecurityPolicy.Aes128_Sha256_RsaOaep,
    clientCertificateManager: new OPCUACertificateManager({
      rootFolder: process.argv[3], automaticallyAcceptUnknownCertificate: true }) });
  await client.connect(process.argv[2]);
  const session = await client.createSession();
  const index = async (uri) => (await session.readNamespaceArray()).indexOf(uri);
  const browse = async (nodeId, referenceTypeId = "HierarchicalReferences") =>
    (await session.browse({ nodeId, referenceTypeId, browseDirection: ua.BrowseDirection.Forward,
      includeSubtypes: true, nodeClassMask: 0, resultMask: 63 })).references;
  const below = async (nodeId, name) => (await browse(nodeId)).find((each) => each.browseName.name === name);
  const path = async (nodeId, ...names) => {
    let found = { nodeId };
    for (const name of names) found = await below(found.nodeId, name);
    return found;
  };
  const plc = await index(PLC);
  const found = {};
  const devices = `ns=${await index("http://opcfoundation.org/UA/DI/")};i=5001`;
  const main_ = await path(devices, "demo", "Resources", "Cell", "Programs", "Main");
  found.variables = (await browse(main_.nodeId)).map((each) =>
    [each.browseName.name, each.referenceTypeId.toString() === `ns=${plc};i=4001` ? "input" : "other"]);
  const task = await path(devices, "demo", "Resources", "Cell", "Tasks", "fast");
  found.task = task.typeDefinition.toString() === `ns=${plc};i=1006`;
  const interval = await path(task.nodeId, "Interval");
  found.interval = (await session.read({ nodeId: interval.nodeId, attributeId: 13 })).value.value;
  const machines = `ns=${await index("http://opcfoundation.org/UA/Machinery/")};i=1001`;
  const maker = await path(machines, "Syrup tank", "Identification", "Manufacturer");
  found.maker = (await session.read({ nodeId: maker.nodeId, attributeId: 13 })).value.value.text;
  const restart = await path(task.nodeId, "Restart");
  const described = await session.getArgumentDefinition(restart.nodeId);
  found.arguments = described.inputArguments.map((each) => each.name);
  const call = (inputArguments) => session.call({ objectId: task.nodeId, methodId: restart.nodeId, inputArguments });
  const cold = { dataType: ua.DataType.Boolean, value: true };
  const reason = { dataType: ua.DataType.String, value: "peer" };
  found.calls = [];
  for (const given of [[cold, reason], [cold], [reason, reason]])
    found.calls.push((await call(given)).statusCode.name);
  await session.close();
  await client.disconnect();
  console.log(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});
