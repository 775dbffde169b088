import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';

import { everyRequest, objectGets } from './fault.ts';
import type { Fault } from './fault.ts';
import { FaultProxy } from './fault-proxy.ts';
import { seededBytes } from './seeded-random.ts';

const body = seededBytes(1, 100_000);
const upstream = createServer((_, response) => response.setHeader('content-length', body.length).end(body));
let proxy: FaultProxy;

before(async () => {
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  proxy = await FaultProxy.start(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`, 1);
});
after(async () => {
  await proxy.stop();
  upstream.closeAllConnections();
  upstream.close();
});

async function read(signal?: AbortSignal): Promise<Buffer> {
  const response = await fetch(`${proxy.endpoint}/bucket/key`, signal === undefined ? {} : { signal });
  return Buffer.from(await response.arrayBuffer());
}

function always(fault: Fault): void {
  proxy.script({ fault, probability: 1, matches: objectGets });
}

test('without a script it changes nothing', async () => {
  proxy.script();
  assert.ok((await read()).equals(body));
});

test('a status is sent instead of the answer', async () => {
  always({ kind: 'status', status: 503, code: 'SlowDown' });
  const response = await fetch(`${proxy.endpoint}/bucket/key`);
  assert.equal(response.status, 503);
  assert.match(await response.text(), /<Code>SlowDown<\/Code>/);
  assert.equal(proxy.count('status'), 1);
});

for (const kind of ['cut', 'reset'] as const) {
  test(`${kind} ends the body early, and is not counted where the body is shorter`, async () => {
    always({ kind, afterBytes: 70_000 });
    await assert.rejects(read());
    assert.equal(proxy.count(kind), 1);
    always({ kind, afterBytes: 200_000 });
    assert.ok((await read()).equals(body));
    assert.equal(proxy.count(kind), 1);
  });
}

for (const fault of [{ kind: 'hang-before-header' }, { kind: 'hang-in-body', afterBytes: 5_000 }] as const) {
  test(`${fault.kind} keeps the connection and sends nothing more`, async () => {
    always(fault);
    const stop = new AbortController();
    const reading = assert.rejects(read(stop.signal));
    await proxy.reached(fault.kind, 1);
    stop.abort();
    await reading;
  });
}

test('a body that is longer or shorter than announced is an error for the reader', async () => {
  always({ kind: 'wrong-length', byBytes: 10 });
  await assert.rejects(read());
  always({ kind: 'wrong-length', byBytes: -10 });
  assert.equal((await read()).length, body.length - 10);
  assert.equal(proxy.count('wrong-length'), 2);
});

test('a slow body is whole', async () => {
  always({ kind: 'slow', bytesPerSecond: 2_000_000 });
  assert.ok((await read()).equals(body));
  assert.equal(proxy.count('slow'), 1);
});

test('the seed decides which requests are hit', async () => {
  const counts: number[] = [];
  for (const seed of [5, 5]) {
    const again = await FaultProxy.start(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`, seed);
    const fault = { kind: 'status', status: 500, code: 'InternalError' } as const;
    again.script({ fault, probability: 0.3, matches: everyRequest });
    for (let i = 0; i < 30; i += 1) await (await fetch(`${again.endpoint}/bucket/key`)).arrayBuffer();
    counts.push(again.count('status'));
    assert.equal(again.requests, 30);
    await again.stop();
  }
  assert.ok(counts[0] !== undefined && counts[0] > 0 && counts[0] < 30);
  assert.equal(counts[0], counts[1]);
});
