import type { Clock } from '@millpool/host';
import type { Engine, Receipt } from '@millpool/native';
import { MillpoolError } from '@millpool/protocol';
import type { LoaderActivity, PlanProgress, PlanReport, PlanRequest, SecondsByCause } from '@millpool/protocol';

import type { Datasets } from './datasets.ts';
import { jobsAhead } from './jobs-ahead.ts';
import type { JobsAhead } from './jobs-ahead.ts';
import { Plan } from './plan.ts';
import type { Ahead, OrderTerms } from './plan.ts';
import { noWaits, sumOfWaits } from './waits.ts';

/** More open plans than processes of a node would have are a leak of somebody's. */
const plansMax = 4096;
/** Of the byte budget, what is fetched ahead of all loaders together: the rest is for what they wait for. */
const aheadShare = 1 / 2;

interface PlansParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly engineBytes: number;
}

/** The plans that loaders of this node have open; each goes with its connection. */
export class Plans {
  readonly #datasets: Datasets;
  readonly #engine: Engine;
  readonly #plans = new Map<number, { readonly connection: number; readonly plan: Plan }>();
  readonly #clock: Clock;
  /** Of all that is fetched before it is asked for, whoever said so. */
  readonly ahead: Ahead;
  /** By identity: what a byte has to be worth to come in, where room is short and its policy is `order`. */
  readonly #bars = new Map<string, number>();
  #last = 0;
  /** By plans that are closed. */
  #fetchedSamples = 0;
  #waitSeconds = noWaits;

  constructor(datasets: Datasets, { engine, clock, engineBytes }: PlansParts) {
    this.#datasets = datasets;
    this.#engine = engine;
    this.#clock = clock;
    this.ahead = { bytes: 0, windowBytes: engineBytes * aheadShare, plans: 0 };
  }

  open(connection: number, request: PlanRequest): number {
    if (this.#plans.size >= plansMax) {
      throw new MillpoolError({
        code: 'full',
        message: `There are ${plansMax} plans open already.`,
        remedy: 'Close loaders that are no longer iterated.',
      });
    }
    const file = this.#datasets.open(request.version);
    const number = this.takeNumber();
    const parts = {
      number,
      engine: this.#engine,
      clock: this.#clock,
      ahead: this.ahead,
      order: (plan: Plan) => this.#termsOf(plan),
    };
    this.#plans.set(number, { connection, plan: new Plan(request, file, parts) });
    return number;
  }

  /** One that no plan has. */
  takeNumber(): number {
    return ++this.#last;
  }

  /** Throws `not-found` for a plan that this connection has not opened, as after a restart of the daemon. */
  progress(connection: number, plan: number): PlanProgress {
    return this.#find(connection, plan).progress;
  }

  report(connection: number, { plan, waitSeconds }: PlanReport): void {
    this.#find(connection, plan).waited(waitSeconds);
    this.#waitSeconds = sumOfWaits(this.#waitSeconds, waitSeconds);
  }

  /** Of all loops since the daemon started, as far as they told. */
  get waitSeconds(): SecondsByCause {
    return this.#waitSeconds;
  }

  activity(): readonly LoaderActivity[] {
    return [...this.#plans].map(([number, { connection, plan }]) => ({ plan: number, connection, ...plan.activity }));
  }

  close(connection: number, plan: number): PlanProgress {
    const found = this.#find(connection, plan);
    this.#drop(plan);
    return found.progress;
  }

  /** Samples fetched ahead of loaders since the daemon started, which find them in segments. */
  get fetchedSamples(): number {
    return [...this.#plans.values()].reduce(
      (sum, { plan }) => sum + plan.progress.fetchedSamples,
      this.#fetchedSamples,
    );
  }

  /** Bytes of the datasets that are to be read, by the identity of what holds them. */
  datasetBytes(): ReadonlyMap<string, number> {
    const files = new Map([...this.#plans.values()].map(({ plan: { file } }) => [file.version, file]));
    const bytes = new Map<string, number>();
    for (const file of files.values()) bytes.set(file.identity, (bytes.get(file.identity) ?? 0) + file.bytes);
    return bytes;
  }

  /** Dataset versions that are being read, in order. */
  versions(): readonly string[] {
    return [...new Set([...this.#plans.values()].map(({ plan }) => plan.file.version))].toSorted();
  }

  /** The jobs that read datasets of an identity, by version. */
  jobs(identity: string): ReadonlyMap<string, JobsAhead<Plan>> {
    const own = [...this.#plans.values()].filter(({ plan }) => plan.file.identity === identity);
    return jobsAhead(new Map(own.map(({ plan }) => [plan, plan.standing])));
  }

  /** Epochs of its datasets that an identity's jobs have read, together. */
  epochsRead(identity: string): number {
    const own = [...this.#plans.values()].filter(({ plan }) => plan.file.identity === identity);
    return own.reduce((sum, { plan }) => sum + plan.epochsRead, 0);
  }

  /** Null: all that is read comes in. */
  setBar(identity: string, bar: number | null): void {
    if (bar === null) this.#bars.delete(identity);
    else this.#bars.set(identity, bar);
  }

  #termsOf(plan: Plan): OrderTerms | null {
    const { version, identity } = plan.file;
    const bar = this.#bars.get(identity);
    if (bar === undefined) return null;
    const { jobs = [], jobOf } = this.jobs(identity).get(version) ?? {};
    const job = jobOf?.get(plan);
    return job === undefined ? null : { jobs, job, bar };
  }

  receipts(receipts: readonly Receipt[]): void {
    for (const receipt of receipts) {
      const { connection, plan, position } = receipt;
      const found = this.#plans.get(plan);
      if (found?.connection !== connection) continue;
      found.plan.readUpTo(position, receipt);
      found.plan.taken(position);
    }
  }

  /** Nothing is fetched ahead any more. */
  stop(): void {
    for (const plan of this.#plans.keys()) this.#drop(plan);
  }

  closeConnection(connection: number): void {
    for (const [number, open] of this.#plans) if (open.connection === connection) this.#drop(number);
  }

  #find(connection: number, plan: number): Plan {
    const found = this.#plans.get(plan);
    if (found?.connection === connection) return found.plan;
    throw new MillpoolError({
      code: 'not-found',
      message: `This connection has no plan ${plan}.`,
      remedy: 'Open it again: a restarted daemon knows none.',
    });
  }

  #drop(plan: number): void {
    const found = this.#plans.get(plan);
    found?.plan.close();
    this.#fetchedSamples += found?.plan.progress.fetchedSamples ?? 0;
    this.#plans.delete(plan);
  }
}
