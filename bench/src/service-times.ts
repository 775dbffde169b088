import { setTimeout as sleep } from 'node:timers/promises';

import { cpuSecondsOf } from './cpu-time.ts';
import type { ServiceTimes } from './hot-cluster.ts';
import type { LookUpLoad } from './look-up-load.ts';

/** An owner, a daemon that asks it, and small and large directories. */
export interface MeasuredPair {
  readonly owner: number;
  readonly caller: number;
  readonly load: LookUpLoad;
  /** Of so many names of one small directory after another, or of a single one. */
  readonly questions: (names: number, isOne: boolean) => () => string[];
  /** What is done for the load of the single small one. */
  readonly become: (how: 'publish' | 'merge') => Promise<void>;
  /** One that has not been copied yet is. */
  readonly copyLarge: () => Promise<void>;
  readonly largeNames: number;
}

const lapSeconds = 3;
const copySeconds = 4;
const few = 8;
const many = 64;

interface Taken {
  readonly owner: number;
  readonly caller: number;
}

/** Processor time of both, by the kernel's count: of questions with few names and with many, and of a copy. */
export async function measureServiceTimes(pair: MeasuredPair): Promise<ServiceTimes> {
  await pair.become('merge');
  const asked = { few: await lap(pair, few, false), many: await lap(pair, many, false) };
  await pair.become('publish');
  await pair.load.run(2, pair.questions(few, true));
  const local = { few: await lap(pair, few, true), many: await lap(pair, many, true) };
  const idle = await during(pair, () => sleep(1_000 * copySeconds));
  const copying = await during(pair, async () => {
    await pair.copyLarge();
    await sleep(1_000 * copySeconds);
  });
  const aName = (of: keyof Taken): number => Math.max(0, copying[of] - idle[of]) / pair.largeNames;
  return {
    owner: lineThrough(asked.few.owner, asked.many.owner),
    caller: lineThrough(asked.few.caller, asked.many.caller),
    local: lineThrough(local.few.caller, local.many.caller),
    copy: { giver: aName('owner'), taker: aName('caller') },
  };
}

/** Milliseconds of a question. */
async function lap(pair: MeasuredPair, names: number, isOne: boolean): Promise<Taken> {
  let questions = 0;
  const next = pair.questions(names, isOne);
  const taken = await during(pair, () =>
    pair.load.run(lapSeconds, () => {
      questions += 1;
      return next();
    }),
  );
  return { owner: taken.owner / questions, caller: taken.caller / questions };
}

async function during({ owner, caller }: MeasuredPair, work: () => Promise<unknown>): Promise<Taken> {
  const before = [await cpuSecondsOf(owner), await cpuSecondsOf(caller)] as const;
  await work();
  return {
    owner: 1_000 * ((await cpuSecondsOf(owner)) - before[0]),
    caller: 1_000 * ((await cpuSecondsOf(caller)) - before[1]),
  };
}

function lineThrough(ofFew: number, ofMany: number): { readonly question: number; readonly name: number } {
  const name = Math.max(0, ofMany - ofFew) / (many - few);
  return { question: Math.max(0, ofFew - few * name), name };
}
