// The client: starts `ironworks lsp` and `ironworks dap`, and connects them to the editor.
"use strict";

const { DebugAdapterExecutable, commands, debug, window, workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

const TYPE = "ironworks-st";
let client;

function create() {
  const settings = workspace.getConfiguration("ironworks");
  const command = settings.get("command", "ironworks");
  const args = settings.get("liveValues", true) ? ["lsp"] : ["lsp", "--no-live"];
  const folder = workspace.workspaceFolders?.[0]?.uri.fsPath;
  return new LanguageClient(
    "ironworks",
    "Ironworks Structured Text",
    { command, args, options: { cwd: folder } },
    {
      documentSelector: [
        { scheme: "file", language: "iecst" },
        { scheme: "untitled", language: "iecst" },
      ],
    },
  );
}

async function start() {
  client = create();
  try {
    await client.start();
  } catch (error) {
    window.showErrorMessage(
      `${error.message ?? error}. Install it: pip install 'ironworks[lsp]', or set ironworks.command to its path.`,
    );
  }
}

async function stop() {
  const running = client;
  client = undefined;
  if (running?.isRunning()) {
    await running.stop();
  }
}

async function restart() {
  await stop();
  await start();
}

// What is debugged when nobody has written a launch.json: the file that is open.
const configurations = {
  resolveDebugConfiguration(_folder, configuration) {
    if (!configuration.type && window.activeTextEditor?.document.languageId === "iecst") {
      return { type: TYPE, request: "launch", name: "Simulate this file", program: "${file}", stopOnEntry: true };
    }
    return configuration;
  },
};

const adapters = {
  createDebugAdapterDescriptor(session) {
    const command = workspace.getConfiguration("ironworks").get("command", "ironworks");
    return new DebugAdapterExecutable(command, ["dap"], { cwd: session.workspaceFolder?.uri.fsPath });
  },
};

async function nextScan() {
  const session = debug.activeDebugSession;
  if (session?.type === TYPE) {
    await session.customRequest("nextScan", { scans: 1 });
  }
}

async function activate(context) {
  context.subscriptions.push(
    commands.registerCommand("ironworks.restart", restart),
    commands.registerCommand("ironworks.nextScan", nextScan),
    debug.registerDebugConfigurationProvider(TYPE, configurations),
    debug.registerDebugAdapterDescriptorFactory(TYPE, adapters),
    workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("ironworks")) {
        return restart();
      }
    }),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
