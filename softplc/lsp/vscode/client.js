// The client: starts `ironworks lsp` and connects it to the editor.
"use strict";

const { commands, window, workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

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
      synchronize: { fileEvents: workspace.createFileSystemWatcher("**/{*.st,plant.yaml}") },
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

async function activate(context) {
  context.subscriptions.push(
    commands.registerCommand("ironworks.restart", restart),
    workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("ironworks")) {
        return restart();
      }
    }),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
