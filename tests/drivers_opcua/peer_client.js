// A foreign client: browses, reads, subscribes, writes, acknowledges; prints one JSON object on a line of its own.
// Arguments: URL, security mode (None | Sign | SignAndEncrypt), folder for its own certificate,
// and certificate (DER) and key (PEM) of a user.
const ua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const fs = require("fs");
const [url, mode, pki, certificate, key] = process.argv.slice(2);
const root = "nb/bottling/line1";
const id = (path) => `ns=2;s=${root}/${path}`;

async function main() {
  const found = {};
  const secure = mode !== "None";
  const client = ua.OPCUAClient.create({
    applicationName: "peer",
    connectionStrategy: { maxRetry: 1, initialDelay: 100 },
    securityMode: ua.MessageSecurityMode[mode],
    securityPolicy: secure ? ua.SecurityPolicy.Basic256Sha256 : ua.SecurityPolicy.None,
    clientCertificateManager: new OPCUACertificateManager({
      rootFolder: pki, automaticallyAcceptUnknownCertificate: true }),
  });
  await client.connect(url);
  const user = { type: ua.UserTokenType.UserName, userName: "olga", password: "pump" };
  try {
    await client.createSession({ ...user, password: "wrong" });
    found.wrongPassword = "accepted";
  } catch (error) {
    found.wrongPassword = /BadUserAccessDenied/.test(error.message) ? "BadUserAccessDenied" : error.message;
  }
  const session = await client.createSession(user);

  const browse = async (nodeId) =>
    (await session.browse({ nodeId, browseDirection: ua.BrowseDirection.Forward,
      referenceTypeId: "HierarchicalReferences", includeSubtypes: true, nodeClassMask: 0, resultMask: 63 }))
      .references.map((each) => each.browseName.name);
  found.objects = (await browse("ObjectsFolder")).includes("demo");
  found.line = await browse(`ns=2;s=${root}/`);
  const inTree = async (nodeId) => {
    const refs = (await session.browse({ nodeId, browseDirection: ua.BrowseDirection.Forward,
      referenceTypeId: "Organizes", includeSubtypes: true, nodeClassMask: 0, resultMask: 63 })).references;
    found.widest = Math.max(found.widest ?? 0, refs.length);
    let count = 0;
    for (const each of refs) count += each.nodeClass === ua.NodeClass.Object ? await inTree(each.nodeId) : 1;
    return count;
  };
  found.wide = await inTree(`ns=2;s=${root}/wide/`);
  found.properties = await browse(id("tank/level_pct"));

  const level = await session.read({ nodeId: id("tank/level_pct"), attributeId: ua.AttributeIds.Value });
  found.read = { value: level.value.value, type: ua.DataType[level.value.dataType],
    status: level.statusCode.name, source: level.sourceTimestamp.toISOString() };
  const range = await session.read({ nodeId: `${id("tank/level_pct")}//EURange`,
    attributeId: ua.AttributeIds.Value });
  found.range = [range.value.value.low, range.value.value.high];

  const subscription = await session.createSubscription2({ requestedPublishingInterval: 50,
    requestedLifetimeCount: 100, requestedMaxKeepAliveCount: 10, maxNotificationsPerPublish: 0,
    publishingEnabled: true, priority: 0 });
  const item = await subscription.monitor(
    { nodeId: id("line/speed"), attributeId: ua.AttributeIds.Value },
    { samplingInterval: 0, queueSize: 10, discardOldest: true }, ua.TimestampsToReturn.Both);
  const seen = [];
  let late;
  const arrived = new Promise((resolve, reject) => {
    late = setTimeout(() => reject(new Error(`only saw ${JSON.stringify(seen)}`)), 60000);
    item.on("changed", (value) => {
      seen.push([value.statusCode.name, value.value.value]);
      if (value.value.value === 33) { clearTimeout(late); resolve(); }
    });
  });
  const write = (path, value) => session.write({ nodeId: id(path),
    attributeId: ua.AttributeIds.Value, value: { value: { dataType: ua.DataType.Float, value } } });
  found.write = (await write("line/speed", 33)).name;
  if (found.write === "Good") await arrived;
  else clearTimeout(late);
  found.seen = seen;
  found.outOfRange = (await write("line/speed", 61)).name;
  found.readOnly = (await write("tank/level_pct", 1)).name;

  const call = await session.call({ objectId: "ns=3;s=Alarms", methodId: "ns=3;s=Acknowledge",
    inputArguments: [{ dataType: ua.DataType.String, value: "tank.high" },
      { dataType: ua.DataType.LocalizedText, value: ua.coerceLocalizedText("seen") }] });
  found.acknowledge = call.statusCode.name;
  await subscription.terminate();
  await session.close();
  if (secure) {
    const other = await client.createSession({ type: ua.UserTokenType.Certificate,
      certificateData: fs.readFileSync(certificate), privateKey: fs.readFileSync(key, "ascii") });
    found.byCertificate = (await other.write({ nodeId: id("line/speed"), attributeId: ua.AttributeIds.Value,
      value: { value: { dataType: ua.DataType.Float, value: 34 } } })).name;
    await other.close();
  }
  await client.disconnect();
  console.log(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});
