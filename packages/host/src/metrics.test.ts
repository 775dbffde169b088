import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from './metrics.ts';

test('counters and gauges in the text form of Prometheus', () => {
  const metrics = new Metrics();
  const reads = metrics.counter({ name: 'millpool_reads_total', help: 'Samples read.', labels: ['tier', 'path'] });
  reads.add(2, 'cache', '/a"b\\\n');
  reads.add(3, 'cache', '/a"b\\\n');
  reads.add(1, 'source', '/');
  metrics.gauge({ name: 'millpool_used_bytes', help: 'Two\nlines.', labels: [] }).set(7);
  assert.equal(
    metrics.text(),
    [
      '# HELP millpool_reads_total Samples read.',
      '# TYPE millpool_reads_total counter',
      'millpool_reads_total{tier="cache",path="/a\\"b\\\\\\n"} 5',
      'millpool_reads_total{tier="source",path="/"} 1',
      '# HELP millpool_used_bytes Two\\nlines.',
      '# TYPE millpool_used_bytes gauge',
      'millpool_used_bytes 7',
      '',
    ].join('\n'),
  );
});

test('values that were counted elsewhere are a histogram, each bucket with all below it', () => {
  const metrics = new Metrics();
  const fetches = metrics.histogram({ name: 'fetch_seconds', help: 'Took.', labels: ['path'] });
  fetches.set({ bounds: [0.1, 1], counts: [3, 0, 2], sum: 7.5 }, '/a');
  assert.equal(
    metrics.text(),
    [
      '# HELP fetch_seconds Took.',
      '# TYPE fetch_seconds histogram',
      'fetch_seconds_bucket{path="/a",le="0.1"} 3',
      'fetch_seconds_bucket{path="/a",le="1"} 3',
      'fetch_seconds_bucket{path="/a",le="+Inf"} 5',
      'fetch_seconds_sum{path="/a"} 7.5',
      'fetch_seconds_count{path="/a"} 5',
      '',
    ].join('\n'),
  );
  assert.throws(() => fetches.set({ bounds: [1], counts: [1], sum: 1 }, '/a'), RangeError);
});

test('a metric is made once, with good names, and counted as it was declared', () => {
  const metrics = new Metrics();
  const counter = metrics.counter({ name: 'a_total', help: '', labels: ['x'] });
  assert.throws(() => metrics.gauge({ name: 'a_total', help: '', labels: [] }), RangeError);
  assert.throws(() => metrics.gauge({ name: 'a-b', help: '', labels: [] }), RangeError);
  assert.throws(() => counter.add(-1, 'v'), RangeError);
  assert.throws(() => counter.add(1), RangeError);
});
