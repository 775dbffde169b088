/** Only grows. */
export interface Counter {
  add(amount: number, ...labelValues: readonly string[]): void;
}

export interface Gauge {
  set(value: number, ...labelValues: readonly string[]): void;
}

export interface Histogram {
  /** What was counted elsewhere: how many values up to each bound and above the one before, last those above all. */
  set(counted: CountedValues, ...labelValues: readonly string[]): void;
}

export interface CountedValues {
  /** Ascending; `counts` has one more. */
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  /** Of all values. */
  readonly sum: number;
}

export interface MetricHead {
  /** With the unit last; a counter's ends in `_total`. */
  readonly name: string;
  readonly help: string;
  /** Names of its labels; every observation brings as many values. Few values each: every combination is kept. */
  readonly labels: readonly string[];
}

/**
 * Numbers for Prometheus. A metric is made once, by the part that owns it; `text` is what a scrape gets. Format:
 * prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.
 */
export class Metrics {
  readonly #families = new Map<string, Family>();

  counter(head: MetricHead): Counter {
    const family = this.#family('counter', head);
    return {
      add(amount, ...labelValues) {
        if (!(amount >= 0)) throw new RangeError(`the counter ${head.name} cannot change by ${amount}`);
        family.add(family.pairs(labelValues), amount);
      },
    };
  }

  gauge(head: MetricHead): Gauge {
    const family = this.#family('gauge', head);
    return { set: (value, ...labelValues) => family.set(family.pairs(labelValues), value) };
  }

  histogram(head: MetricHead): Histogram {
    const family = this.#family('histogram', head);
    return {
      set({ bounds, counts, sum }, ...labelValues) {
        if (counts.length !== bounds.length + 1)
          throw new RangeError(`${head.name} has a count for each of its bounds`);
        const pairs = family.pairs(labelValues);
        let below = 0;
        for (const [at, count] of counts.entries()) {
          below += count;
          const bound = formatNumber(bounds[at] ?? Number.POSITIVE_INFINITY);
          family.set([...pairs, ['le', bound]], below, '_bucket');
        }
        family.set(pairs, sum, '_sum');
        family.set(pairs, below, '_count');
      },
    };
  }

  text(): string {
    return [...this.#families.values()].map((family) => family.text()).join('');
  }

  #family(type: string, head: MetricHead): Family {
    if (this.#families.has(head.name)) throw new RangeError(`there are two metrics ${head.name}`);
    const family = new Family(type, head);
    this.#families.set(head.name, family);
    return family;
  }
}

type LabelPair = readonly [name: string, value: string];

/** A metric's series, each under the text that begins its line. */
class Family {
  readonly #type: string;
  readonly #head: MetricHead;
  readonly #series = new Map<string, number>();

  constructor(type: string, head: MetricHead) {
    if (![head.name, ...head.labels].every((name) => /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name))) {
      throw new RangeError(`${head.name} or one of its labels is no name that Prometheus takes`);
    }
    this.#type = type;
    this.#head = head;
  }

  pairs(labelValues: readonly string[]): readonly LabelPair[] {
    const { name, labels } = this.#head;
    if (labelValues.length !== labels.length) throw new RangeError(`${name} has the labels ${labels.join(', ')}`);
    return labels.map((label, index) => [label, labelValues[index] ?? '']);
  }

  /** `part`: which of a histogram's series it is. */
  set(pairs: readonly LabelPair[], value: number, part = ''): void {
    this.#series.set(this.#key(pairs, part), value);
  }

  add(pairs: readonly LabelPair[], amount: number): void {
    const key = this.#key(pairs, '');
    this.#series.set(key, (this.#series.get(key) ?? 0) + amount);
  }

  text(): string {
    const { name, help } = this.#head;
    const lines = [...this.#series].map(([key, value]) => `${key} ${formatNumber(value)}\n`);
    return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${this.#type}\n${lines.join('')}`;
  }

  #key(pairs: readonly LabelPair[], part: string): string {
    const inner = pairs.map(([label, value]) => `${label}="${escaped(value).replaceAll('"', '\\"')}"`).join(',');
    return `${this.#head.name}${part}${inner === '' ? '' : `{${inner}}`}`;
  }
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}
