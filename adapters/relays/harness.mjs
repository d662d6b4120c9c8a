// Serves a relay script on loopback, with the little of its platform that it uses: for the tests.
//   KEY=... NODE_KEY=... NODE_URL=... node harness.mjs apps-script/Code.gs
// Prints `listening on ADDR`, and ends when its standard input does.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';
import { MessageChannel, Worker, isMainThread, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';

const { KEY, NODE_KEY, NODE_URL } = process.env;
const settings = { KEY, NODE_KEY, NODE_URL };

if (isMainThread) {
  const script = process.argv[2];
  const answer = script.endsWith('.gs') ? await appsScript(script) : await worker(script);
  const server = createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const { status, type, body } = await answer(request, Buffer.concat(pieces));
    response.writeHead(status, { 'content-type': type });
    response.end(body);
  });
  server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
  process.stdin.resume().on('end', () => process.exit());
} else {
  runInThread(workerData);
}

// A worker is a module with a `fetch`, and Node.js has the same Request and Response.
async function worker(path) {
  const { default: module } = await import(pathToFileURL(path));
  return async (request, body) => {
    const { method, url, headers } = request;
    const init = { method, headers, body: method === 'POST' ? body : undefined };
    const response = await module.fetch(new Request(new URL(url, 'http://relay'), init), settings);
    const type = response.headers.get('content-type');
    return { status: response.status, type, body: Buffer.from(await response.arrayBuffer()) };
  };
}

// Apps Script runs every call by itself and fetches without promises: a thread a call, which sleeps meanwhile.
async function appsScript(path) {
  let source = await readFile(path, 'utf8');
  for (const [name, value] of Object.entries(settings)) {
    const empty = `const ${name} = '';`;
    if (!source.includes(empty)) throw new Error(`no setting ${name} in ${path}`);
    source = source.replace(empty, () => `const ${name} = ${JSON.stringify(value)};`);
  }
  return (request, body) =>
    new Promise((resolve, reject) => {
      const { port1: port, port2 } = new MessageChannel();
      const flag = new Int32Array(new SharedArrayBuffer(4));
      const call = { source, method: request.method, contents: body.toString('utf8'), port: port2, flag };
      const thread = new Worker(fileURLToPath(import.meta.url), { workerData: call, transferList: [port2] });
      port.on('message', async ({ url, options }) => {
        port.postMessage(await fetchLikeApps(url, options));
        Atomics.store(flag, 0, 1);
        Atomics.notify(flag, 0);
      });
      thread.once('message', resolve).once('error', reject).once('exit', () => port.close());
    });
}

async function fetchLikeApps(url, { method, contentType, payload, followRedirects }) {
  try {
    const headers = { 'content-type': contentType };
    const redirect = followRedirects ? 'follow' : 'manual';
    const response = await fetch(url, { method, headers, body: payload, redirect });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    return { error: String(error) };
  }
}

// One call of an Apps Script, in a thread of its own.
function runInThread({ source, method, contents, port, flag }) {
  const UrlFetchApp = {
    fetch(url, options) {
      port.postMessage({ url, options });
      Atomics.wait(flag, 0, 0);
      Atomics.store(flag, 0, 0);
      const { status, text, error } = receiveMessageOnPort(port).message;
      if (error || (status !== 200 && !options.muteHttpExceptions)) throw new Error(error || `HTTP ${status}`);
      return { getResponseCode: () => status, getContentText: () => text };
    },
  };
  const output = (type) => (body) => {
    const made = { type, body, setMimeType: (wanted) => Object.assign(made, { type: wanted }) };
    return made;
  };
  const ContentService = { createTextOutput: output('text/plain'), MimeType: { JSON: 'application/json' } };
  const HtmlService = { createHtmlOutput: output('text/html; charset=utf-8') };
  const context = vm.createContext({ UrlFetchApp, ContentService, HtmlService });
  vm.runInContext(source, context);
  const { type, body } = method === 'POST' ? context.doPost({ postData: { contents } }) : context.doGet();
  parentPort.postMessage({ status: 200, type, body });
  port.close();
}
