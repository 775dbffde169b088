import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { MillpoolNode } from '../harness/millpool-process.ts';
import { freePort } from '../harness/server-process.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const rules = new URL('../../../deploy/monitoring/alerts.yaml', import.meta.url);
const dashboard = new URL('../../../deploy/monitoring/grafana.json', import.meta.url);

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}

test('alerts and dashboard ask for nothing that a daemon does not export', async (t) => {
  const address = `127.0.0.1:${await freePort()}`;
  const folder = await temporaryFolder('monitoring');
  const node = await MillpoolNode.start({ directory: folder.path, env: { MILLPOOL_METRICS: address } });
  t.after(async () => {
    await node.stop();
    await folder.remove();
  });
  const text = await (await fetch(`http://${address}/metrics`)).text();
  const exported = new Set(Array.from(text.matchAll(/^# TYPE (\w+)/gm), ([, name]) => name));

  const { panels } = JSON.parse(await readFile(dashboard, 'utf8')) as Dashboard;
  const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  assert.ok(expressions.length > panels.length);
  const asked = namesIn([await readFile(rules, 'utf8'), ...expressions].join('\n'));
  assert.ok(asked.size > 10, [...asked].join(' '));
  assert.deepEqual(
    [...asked].filter((name) => !exported.has(name)),
    [],
  );
});

/** A histogram is exported under its own name, and asked for by those of its series. */
function namesIn(text: string): ReadonlySet<string> {
  const names = text.matchAll(/\b(millpool_[a-z_]+)/g);
  return new Set(Array.from(names, ([, name = '']) => name.replace(/_(?:bucket|sum|count)$/, '')));
}
