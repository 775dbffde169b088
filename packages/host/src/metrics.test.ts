import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from './metrics.ts';

test('counters, gauges and histograms in the text form of Prometheus', () => {
  const metrics = new Metrics();
  const reads = metrics.counter({ name: 'millpool_reads_total', help: 'Samples read.', labels: ['tier', 'path'] });
  reads.add(2, 'cache', '/a"b\\\n');
  reads.add(3, 'cache', '/a"b\\\n');
  reads.add(1, 'source', '/');
  metrics.gauge({ name: 'millpool_used_bytes', help: 'Two\nlines.', labels: [] }).set(7);
  const waits = metrics.histogram({ name: 'millpool_wait_seconds', help: 'Waits.', labels: ['cause'] }, [0.1, 1]);
  for (const seconds of [0.05, 0.1, 0.5, 3]) waits.observe(seconds, 'source');
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
      '# HELP millpool_wait_seconds Waits.',
      '# TYPE millpool_wait_seconds histogram',
      'millpool_wait_seconds_bucket{cause="source",le="0.1"} 2',
      'millpool_wait_seconds_bucket{cause="source",le="1"} 3',
      'millpool_wait_seconds_bucket{cause="source",le="+Inf"} 4',
      'millpool_wait_seconds_sum{cause="source"} 3.65',
      'millpool_wait_seconds_count{cause="source"} 4',
      '',
    ].join('\n'),
  );
});

test('a metric is made once, with good names, and counted as it was declared', () => {
  const metrics = new Metrics();
  const counter = metrics.counter({ name: 'a_total', help: '', labels: ['x'] });
  assert.throws(() => metrics.gauge({ name: 'a_total', help: '', labels: [] }), RangeError);
  assert.throws(() => metrics.gauge({ name: 'a-b', help: '', labels: [] }), RangeError);
  assert.throws(() => metrics.histogram({ name: 'h', help: '', labels: [] }, [1, 1]), RangeError);
  assert.throws(() => counter.add(-1, 'v'), RangeError);
  assert.throws(() => counter.add(1), RangeError);
});
