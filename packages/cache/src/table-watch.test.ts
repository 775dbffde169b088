import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HandClock, LogLines } from '@millpool/host/testing';

import { TableWatch } from './table-watch.ts';

test('a table that fills up is one line with its remedy, and another one only long after', async () => {
  const [clock, lines] = [new HandClock(), new LogLines()];
  const watch = new TableWatch(clock, lines.log);
  watch.look(false);
  assert.equal(lines.lines.length, 0);
  for (let looks = 0; looks < 5_000; looks += 1) {
    // What is freed is taken at once.
    watch.look(looks % 7 !== 0);
    await clock.advance(500);
  }
  assert.equal(lines.lines.length, 1);
  assert.match(JSON.stringify(lines.lines[0]), /key table .*MILLPOOL_BUDGET.*millpool free/);
  await clock.advance(3_600_000);
  watch.look(true);
  assert.equal(lines.lines.length, 2);
});
