// A Seqlane relay for Google Apps Script: takes the relay form, passes the node's form on (docs/protocol.md 1).
// Deploy it as a web app that runs as you and that anyone may call; docs/operating.md says how.

// What clients show, what the node expects, and where it is: 'https://node.example', without a path.
const KEY = '';
const NODE_KEY = '';
const NODE_URL = '';

const SINGLE_OPS = ['connect', 'connect_data', 'data', 'close'];

function doPost(event) {
  let call;
  try {
    call = JSON.parse(event.postData.contents);
  } catch (error) {
    return decoy();
  }
  if (!call || !isKey(call.k)) return decoy();
  if (call.t === 'batch') {
    // Ops go on as they came, whatever is in them: the relay need not know them.
    return forward('/tunnel/batch', 'tunnel batch', { k: NODE_KEY, ops: call.ops || [] });
  }
  if (SINGLE_OPS.includes(call.t)) {
    const op = { k: NODE_KEY, op: call.t, host: call.h, port: call.p, sid: call.sid, data: call.d };
    return forward('/tunnel', 'tunnel node', op);
  }
  return json(JSON.stringify({ e: 'unknown tunnel op: ' + (call.t || ''), code: 'UNSUPPORTED_OP' }));
}

function doGet() {
  return decoy();
}

// Posts to the node, and returns its answer as it is.
function forward(path, label, body) {
  const options = {
    method: 'post',
    contentType: 'application/json',
    payload: JSON.stringify(body),
    muteHttpExceptions: true,
    followRedirects: false,
  };
  let answer;
  try {
    answer = UrlFetchApp.fetch(NODE_URL + path, options);
  } catch (error) {
    return json(JSON.stringify({ e: label + ': the node did not answer' }));
  }
  const status = answer.getResponseCode();
  return json(status === 200 ? answer.getContentText() : JSON.stringify({ e: label + ' HTTP ' + status }));
}

// Looks at every character, wherever the first wrong one is. An empty KEY is nobody's.
function isKey(key) {
  if (typeof key !== 'string' || key.length !== KEY.length) return false;
  let difference = KEY.length === 0 ? 1 : 0;
  for (let at = 0; at < KEY.length; at++) difference |= key.charCodeAt(at) ^ KEY.charCodeAt(at);
  return difference === 0;
}

function json(text) {
  return ContentService.createTextOutput(text).setMimeType(ContentService.MimeType.JSON);
}

// What strangers see: a script that has nothing to show.
function decoy() {
  return HtmlService.createHtmlOutput('<!doctype html><p>The script completed but did not return anything.</p>');
}
