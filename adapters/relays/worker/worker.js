// A Seqlane relay for Cloudflare Workers: takes the relay form, passes the node's form on (docs/protocol.md 1), and
// packets as they are (docs/protocol.md 3). docs/operating.md says how to deploy it. Its settings are secrets of the
// worker: KEY, what clients show; NODE_KEY, what the node expects; NODE_URL, 'https://node.example' without a path.

const SINGLE_OPS = ['connect', 'connect_data', 'data', 'close'];
const PACKET = 'application/octet-stream';

export default {
  async fetch(request, env) {
    if (request.method !== 'POST') return decoy();
    if (request.headers.get('content-type') === PACKET) return packet(request, env);
    const call = await request.json().catch(() => null);
    if (!call || !isKey(call.k, env.KEY)) return decoy();
    if (call.t === 'batch') {
      // Ops go on as they came, whatever is in them: the relay need not know them.
      return forward('/tunnel/batch', 'tunnel batch', { k: env.NODE_KEY, ops: call.ops || [] }, env);
    }
    if (SINGLE_OPS.includes(call.t)) {
      const op = { k: env.NODE_KEY, op: call.t, host: call.h, port: call.p, sid: call.sid, data: call.d };
      return forward('/tunnel', 'tunnel node', op, env);
    }
    return json({ e: 'unknown tunnel op: ' + (call.t || ''), code: 'UNSUPPORTED_OP' });
  },
};

// Posts JSON to the node, and returns its answer as it is.
async function forward(path, label, body, env) {
  const headers = { 'content-type': 'application/json' };
  const answer = await post(env.NODE_URL + path, headers, JSON.stringify(body));
  if (!answer) return json({ e: label + ': the node did not answer' });
  if (answer.status !== 200) return json({ e: label + ' HTTP ' + answer.status });
  return new Response(answer.body, { headers });
}

// The same for a packet. There is no error in a packet, so that its caller sees the status itself.
async function packet(request, env) {
  const [scheme, key] = (request.headers.get('authorization') || '').split(/ (.*)/s);
  if (scheme.toLowerCase() !== 'bearer' || !isKey(key, env.KEY)) return decoy();
  const headers = { 'content-type': PACKET, authorization: 'Bearer ' + env.NODE_KEY };
  const answer = await post(env.NODE_URL + '/tunnel/streams', headers, await request.arrayBuffer());
  if (!answer) return json({ e: 'tunnel streams: the node did not answer' }, 502);
  if (answer.status !== 200) return json({ e: 'tunnel streams HTTP ' + answer.status }, answer.status);
  return new Response(answer.body, { headers: { 'content-type': PACKET } });
}

// The node's answer, or nothing.
function post(url, headers, body) {
  return fetch(url, { method: 'POST', headers, body, redirect: 'manual' }).catch(() => null);
}

// Looks at every character, wherever the first wrong one is. An empty KEY is nobody's.
function isKey(key, own) {
  if (typeof key !== 'string' || !own || key.length !== own.length) return false;
  let difference = 0;
  for (let at = 0; at < own.length; at++) difference |= key.charCodeAt(at) ^ own.charCodeAt(at);
  return difference === 0;
}

function json(value, status = 200) {
  return Response.json(value, { status });
}

// What strangers see: a script that has nothing to show.
function decoy() {
  const page = '<!doctype html><p>The script completed but did not return anything.</p>';
  return new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } });
}
