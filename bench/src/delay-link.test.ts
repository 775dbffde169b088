import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { test } from 'node:test';

import { temporaryFolder } from '@millpool/test/harness';

import { benchProgram } from './bench-program.ts';
import { DelayLink, whyNoLink } from './delay-link.ts';
import { LineProcess } from './line-process.ts';
import { bucketOf, ObjectServer } from './object-server.ts';
import { SampleOrder } from './sample-order.ts';

const objects = { count: 64, sizeBytes: 100_000 };

test('a handshake and GETs over the link take its round trip, and reach nothing else', async (t) => {
  const why = await whyNoLink();
  if (why !== null) return t.skip(why);
  const folder = await temporaryFolder('link');
  const order = await new SampleOrder(folder.path, objects.count).file(0);
  await using link = await DelayLink.start(20);
  await using server = await ObjectServer.start(link.farHost, link.far);
  assert.ok((await link.check(server.address, 20)) >= 0.02);
  const command = [benchProgram, 'get', server.address, bucketOf(objects)];
  await using loop = await LineProcess.start(command, { within: link.near });
  const lap = await loop.lap(`8 ${order}`);
  assert.equal(lap.samples, objects.count);
  await assert.rejects(LineProcess.start([benchProgram, 'round-trip', server.address]), /ended/);
  await folder.remove();
  return undefined;
});

test('a link whose delay is not in force is an error', async (t) => {
  const why = await whyNoLink();
  if (why !== null) return t.skip(why);
  await using link = await DelayLink.start(0);
  await using server = await ObjectServer.start(link.farHost, link.far);
  await assert.rejects(link.check(server.address, 10_000), /the delay is not in force/);
  return undefined;
});

test('its namespaces end with it', async (t) => {
  const why = await whyNoLink();
  if (why !== null) return t.skip(why);
  const link = await DelayLink.start(20);
  const path = (link.near[1] ?? '').replace('--net=', '');
  await access(path);
  await link[Symbol.asyncDispose]();
  await assert.rejects(access(path));
  return undefined;
});
