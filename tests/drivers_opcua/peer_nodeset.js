// node-opcua loads a NodeSet2 file, and tells what it makes of it; prints one JSON object on a line of its own.
// Argument: the file.
const { AddressSpace } = require("node-opcua-address-space");
const { generateAddressSpace } = require("node-opcua-address-space/nodeJS");
const { nodesets } = require("node-opcua-nodesets");

async function main() {
  const space = AddressSpace.create();
  await generateAddressSpace(space, [nodesets.standard, process.argv[2]]);
  const index = (uri) => space.getNamespaceIndex(uri);
  const below = (node, name) =>
    node.findReferencesExAsObject("HierarchicalReferences").find((each) => each.browseName.name === name);
  const model = "urn:ironworks:demo:model";
  const devices = space.findNode(`ns=${index("http://opcfoundation.org/UA/DI/")};i=5001`);
  const plc = below(devices, "demo");
  const cell = below(below(plc, "Resources"), "Cell");
  const task = below(below(cell, "Tasks"), "fast");
  const program = below(below(cell, "Programs"), "Main");
  const type = (node) => node.typeDefinitionObj.browseName.name;
  const value = (node, name) => below(node, name).readValue().value.value;
  const level = space.findNode(`ns=${index("urn:ironworks:demo:tags")};s=nb/bottling/line1/tank/level`);
  const range = value(level, "EURange");
  const { BrowseDirection } = require("node-opcua-data-model");
  console.log(JSON.stringify({
    uris: space.getNamespaceArray().map((each) => each.namespaceUri),
    controller: [plc.browseName.name, type(plc)],
    task: { name: task.browseName.name, type: type(task), interval: value(task, "Interval"),
      priority: value(task, "Priority") },
    program: { name: program.browseName.name, type: type(program),
      above: program.typeDefinitionObj.subtypeOfObj.browseName.name },
    level: { type: type(level), range: [range.low, range.high], folders: level
      .findReferencesExAsObject("HierarchicalReferences", BrowseDirection.Inverse)
      .map((each) => each.browseName.name) },
    model: index(model),
  }));
  space.dispose();
}

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});
