import { median, medianInterval } from './interval.ts';

/** One run of one side. */
export interface Lap {
  /** Or whatever else is counted: starts, say. */
  readonly samples: number;
  readonly seconds: number;
  /** Of all processes of that side, the source's own apart. */
  readonly cpuSeconds: number;
}

/** A side of a comparison. Laps of one number are over the same samples in the same order. */
export interface Contender {
  lap(number: number): Promise<Lap>;
}

/** What of a lap is compared; more is better. */
export type Measure = (lap: Lap) => number;

export interface Comparison {
  /** Medians, in the unit of the figure: of laps, samples a second unless another measure is asked for. */
  readonly ours: number;
  readonly reference: number;
  /** The median of the pairs' ratios, ours over reference, with its 90 % interval. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  readonly runs: number;
  /** The interval stayed wider than a quarter of the ratio: the machine was too unsteady to say. */
  readonly isVoid: boolean;
  /** CPU microseconds a sample, medians; null where no time was taken. */
  readonly cpuMicros: { readonly ours: number; readonly reference: number } | null;
}

export interface PairOptions {
  readonly pairs: number;
  /** Samples a second without it. */
  readonly measure?: Measure;
  readonly signal: AbortSignal;
  /** Told before measuring again. */
  readonly say: (text: string) => void;
}

const widestShare = 0.25;
const attemptsMax = 3;

/**
 * Runs both sides in turn, pair by pair, so that what else the machine does meets both alike; who begins alternates. A
 * result whose interval is too wide is void and measured again, three times in all.
 */
export async function comparePairs(ours: Contender, reference: Contender, options: PairOptions): Promise<Comparison> {
  for (let attempt = 1; ; attempt += 1) {
    const found = await compareOnce(ours, reference, options);
    if (!found.isVoid || attempt === attemptsMax) return found;
    options.say(
      `void: the interval ${found.low.toFixed(2)}–${found.high.toFixed(2)} is wider than a quarter of ` +
        `${found.ratio.toFixed(2)}; measuring again`,
    );
  }
}

async function compareOnce(ours: Contender, reference: Contender, options: PairOptions): Promise<Comparison> {
  const sides = { ours: [] as Lap[], reference: [] as Lap[] };
  for (let number = 0; number < options.pairs; number += 1) {
    const pair = [
      async () => sides.ours.push(await ours.lap(number)),
      async () => sides.reference.push(await reference.lap(number)),
    ];
    if (number % 2 === 1) pair.reverse();
    for (const lap of pair) {
      options.signal.throwIfAborted();
      await lap();
    }
  }
  return summary(sides.ours, sides.reference, options.measure ?? samplesPerSecond);
}

function summary(ours: readonly Lap[], reference: readonly Lap[], measure: Measure): Comparison {
  return {
    ...comparison(ours.map(measure), reference.map(measure)),
    cpuMicros: { ours: median(ours.map(cpuMicros)), reference: median(reference.map(cpuMicros)) },
  };
}

/** Of numbers that are no laps' rates: counted bytes, say. Those of one index are a pair; more of ours is better. */
export function comparison(ours: readonly number[], reference: readonly number[]): Comparison {
  if (ours.length !== reference.length) throw new RangeError(`${ours.length} of ours, ${reference.length} beside them`);
  const ratios = ours.map((value, i) => value / (reference[i] ?? value));
  const { median: ratio, low, high } = medianInterval(ratios);
  return {
    ours: median(ours),
    reference: median(reference),
    ratio,
    low,
    high,
    runs: ratios.length,
    isVoid: high - low > ratio * widestShare,
    cpuMicros: null,
  };
}

export function samplesPerSecond({ samples, seconds }: Lap): number {
  return samples / seconds;
}

export function samplesPerCpuSecond({ samples, cpuSeconds }: Lap): number {
  return samples / cpuSeconds;
}

function cpuMicros({ samples, cpuSeconds }: Lap): number {
  return (cpuSeconds / samples) * 1e6;
}

/** Laps that are not counted: what is read for the first time costs more. */
export async function warmUp(laps: number, ours: Contender, reference: Contender): Promise<void> {
  for (let lap = 0; lap < laps; lap += 1) {
    await ours.lap(lap);
    await reference.lap(lap);
  }
}

/** The better of two laps, which are a warm-up too. */
export async function bestRate(contender: Contender): Promise<number> {
  return Math.max(samplesPerSecond(await contender.lap(0)), samplesPerSecond(await contender.lap(1)));
}

/** The candidate with the highest rate; they are tried one after another. */
export async function fastest<Of>(candidates: readonly Of[], rateOf: (candidate: Of) => Promise<number>): Promise<Of> {
  const tried: { readonly candidate: Of; readonly rate: number }[] = [];
  for (const candidate of candidates) tried.push({ candidate, rate: await rateOf(candidate) });
  const [first] = tried.sort((one, other) => other.rate - one.rate);
  if (first === undefined) throw new RangeError('no candidate');
  return first.candidate;
}
