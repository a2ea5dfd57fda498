// A foreign client on a plant's alarms: events, refresh, acknowledge, confirm, comment, shelve; history; a thousand items.
// Arguments: URL, security mode (None | Sign | SignAndEncrypt), folder for its own certificate.
const ua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { callConditionRefresh } = require("node-opcua-alarm-condition");
const [url, mode, pki] = process.argv.slice(2);
const FIELDS = ["EventId", "EventType", "ConditionName", "Severity", "Message", "ActiveState.Id", "AckedState.Id",
  "ConfirmedState.Id", "Comment", "Retain", "ShelvingState.CurrentState"];

async function main() {
  const found = {};
  const client = ua.OPCUAClient.create({
    applicationName: "peer",
    endpointMustExist: false,
    connectionStrategy: { maxRetry: 1, initialDelay: 100 },
    securityMode: ua.MessageSecurityMode[mode],
    securityPolicy: mode === "None" ? ua.SecurityPolicy.None : ua.SecurityPolicy.Aes256_Sha256_RsaPss,
    clientCertificateManager: new OPCUACertificateManager({
      rootFolder: pki, automaticallyAcceptUnknownCertificate: true }),
  });
  await client.connect(url);
  const session = await client.createSession();
  const subscription = await session.createSubscription2({ requestedPublishingInterval: 50,
    requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10, maxNotificationsPerPublish: 0,
    publishingEnabled: true, priority: 0 });

  const watch = async (fields) => {
    const queue = [];
    let wake = () => {};
    const item = await subscription.monitor(
      { nodeId: "i=2253", attributeId: ua.AttributeIds.EventNotifier },
      { samplingInterval: 0, queueSize: 1000, discardOldest: true,
        filter: ua.constructEventFilter(fields, [ua.resolveNodeId("ConditionType")]) },
      ua.TimestampsToReturn.Both);
    if (item.statusCode && item.statusCode.isNotGood()) throw new Error(item.statusCode.name);
    item.on("changed", (values) => {
      queue.push(Object.fromEntries(fields.map((name, index) => [name, values[index].value])));
      wake();
    });
    return async (wanted) => {
      const late = Date.now() + 60000;
      for (;;) {
        while (queue.length) {
          const event = queue.shift();
          if (wanted(event)) return event;
        }
        if (Date.now() > late) throw new Error("no such event");
        await new Promise((resolve) => { wake = resolve; setTimeout(resolve, 100); });
      }
    };
  };
  try {
    await watch(["NoSuchField", "NoOtherField"]);
    found.wrongFilter = "accepted";
  } catch (error) {
    found.wrongFilter = error.message;
  }
  const next = await watch(FIELDS);
  const level = "ns=2;s=s/l/tank/level";
  found.write = (await session.write({ nodeId: level, attributeId: ua.AttributeIds.Value,
    value: { value: { dataType: ua.DataType.Float, value: 95 } } })).name;
  const acts = found.write === "Good";
  if (!acts) found.refresh = (await callConditionRefresh(session, subscription.subscriptionId)).name;
  const raised = await next((each) => each.ConditionName === "tank.high");
  found.raised = { name: raised.ConditionName, severity: raised.Severity, message: raised.Message.text,
    active: raised["ActiveState.Id"] };
  const condition = ua.coerceNodeId("ns=3;s=Alarms/tank.high");
  const act = async () => {
    const acked = await next((each) => each["AckedState.Id"] === true);
    found.again = (await session.acknowledgeCondition(condition, raised.EventId, "twice")).name;
    const states = (each) => [each["AckedState.Id"], each["ConfirmedState.Id"], each.Retain];
    found.confirm = (await session.confirmCondition(condition, raised.EventId, "valve replaced")).name;
    const confirmed = await next((each) => each["ConfirmedState.Id"] === true);
    found.states = [states(acked), states(confirmed)];
    found.confirmedAgain = (await session.confirmCondition(condition, raised.EventId, "twice")).name;
    found.unasked = (await session.confirmCondition(
      ua.coerceNodeId("ns=3;s=Alarms/tank.low"), raised.EventId, "yes")).name;
    found.comment = (await session.addCommentCondition(condition, raised.EventId, "pump 3")).name;
    const commented = await next((each) => each.Comment && each.Comment.text === "pump 3");
    found.comments = [acked, confirmed, commented].map((each) => each.Comment.text);

    const shelving = "ns=3;s=Alarms/tank.high/ShelvingState";
    const call = async (methodId, inputArguments) =>
      (await session.call({ objectId: shelving, methodId, inputArguments })).statusCode.name;
    found.shelve = await call("i=9213", [{ dataType: ua.DataType.Double, value: 60000 }]);
    const unshelved = (each) => each["ShelvingState.CurrentState"];
    await next((each) => unshelved(each) && unshelved(each).text === "Timed Shelved");
    found.unshelve = await call("i=9211", []);
    await next((each) => unshelved(each) && unshelved(each).text === "Unshelved");

    found.refresh = (await callConditionRefresh(session, subscription.subscriptionId)).name;
    found.refreshed = [];
    while (found.refreshed[found.refreshed.length - 1] !== "RefreshEnd") {
      const event = await next(() => true);
      const names = { "ns=0;i=2787": "RefreshStart", "ns=0;i=2788": "RefreshEnd" };
      found.refreshed.push(names[event.EventType.toString()] || event.ConditionName);
    }

    found.once = await call("i=9212", []);
    await next((each) => unshelved(each) && unshelved(each).text === "One Shot Shelved");
    found.shelvedAgain = await call("i=9212", []);
    await session.write({ nodeId: level, attributeId: ua.AttributeIds.Value,
      value: { value: { dataType: ua.DataType.Float, value: 10 } } });
    const over = await next((each) => unshelved(each) && unshelved(each).text === "Unshelved");
    found.over = [over["ActiveState.Id"], unshelved(over).text, over.Retain];
  };
  found.acknowledge = (await session.acknowledgeCondition(condition, raised.EventId, "seen by peer")).name;
  if (acts) await act();

  const many = Array.from({ length: 1000 }, (_, number) =>
    ({ nodeId: `ns=2;s=s/l/many/t${number}`, attributeId: ua.AttributeIds.Value }));
  const seen = new Map();
  const group = ua.ClientMonitoredItemGroup.create(subscription, many,
    { samplingInterval: 0, queueSize: 1, discardOldest: true }, ua.TimestampsToReturn.Both);
  await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`only ${seen.size} of the thousand came`)), 60000);
    group.on("changed", (_, value, index) => {
      if (value.value.value === index) seen.set(index, true);
      if (seen.size === 1000) { clearTimeout(late); resolve(); }
    });
  });
  found.thousand = seen.size;

  const until = Date.now() + 60000;
  for (found.history = []; found.history.length < (acts ? 3 : 1) && Date.now() < until;) {
    const read = await session.readHistoryValue(level, new Date(Date.now() - 600000), new Date(Date.now() + 60000));
    const values = read.historyData ? read.historyData.dataValues : [];
    found.history = values.map((each) => each.value.value).filter((each) => each !== null);  // bounds have none
  }
  await subscription.terminate();
  await session.close();
  await client.disconnect();
  console.log(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});
