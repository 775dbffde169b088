import { nameOf } from '@millpool/protocol';
import type { Entry, NamesPart, OwnerAnswer, ShardOwner } from '@millpool/protocol';

import { objectsOf } from '../found-objects.ts';
import type { FoundObjects } from '../found-objects.ts';
import type { Home } from '../home.ts';
import { hashName } from '../name-hash.ts';
import type { LookupResult } from '../resolved-entry.ts';
import type { KeptDirectory } from './directory-record.ts';
import { otherwiseHere, redirectsMax } from './owners.ts';
import type { Routing } from './routing.ts';

/** A request, and what is known of it so far, by place. */
interface Asked {
  readonly paths: readonly string[];
  readonly results: (LookupResult | null)[];
  readonly signal: AbortSignal;
}

/** Names of one directory, by their places in the request. */
interface Group {
  readonly directory: string;
  readonly home: Home;
  readonly places: readonly number[];
}

/** What is asked of the owner of a shard: of the home of its directory, or of a part of one that was shared out. */
interface Question extends Group {
  readonly shard: number;
  readonly part: NamesPart | null;
}

interface Begun extends Asked {
  readonly questions: readonly Question[];
  /** Nothing is asked of another node, and nothing was answered from parts. */
  readonly isHere: boolean;
}

const lookupTimeoutSeconds = 2;

/** Look-ups, each asked of whoever can answer it best: this node, the owner of its directory's home, or of its part. */
export class LookupRouter {
  readonly #parts: Routing;

  constructor(parts: Routing) {
    this.#parts = parts;
  }

  async lookup(paths: readonly string[], signal: AbortSignal): Promise<LookupResult[]> {
    const asked = this.#begin(paths, signal);
    return this.#finish(asked);
  }

  async objects(paths: readonly string[], signal: AbortSignal): Promise<FoundObjects> {
    const asked = this.#begin(paths, signal);
    if (asked.isHere) return this.#parts.local.objects(paths, signal);
    return objectsOf(await this.#finish(asked));
  }

  #begin(paths: readonly string[], signal: AbortSignal): Begun {
    const asked: Asked = { paths, results: paths.map(() => null), signal };
    const questions = this.#grouped(paths).flatMap((group) => this.#questionsOf(group, asked));
    return { ...asked, questions, isHere: questions.length === 0 && asked.results.every((result) => result === null) };
  }

  async #finish({ questions, ...asked }: Begun): Promise<LookupResult[]> {
    const { paths } = asked;
    const elsewhere = new Set(questions.flatMap(({ places }) => places));
    const here = [...paths.keys()].filter((place) => asked.results[place] === null && !elsewhere.has(place));
    await Promise.all([this.#askOwners(questions, asked), this.#lookHere(here, asked)]);
    const left = [...elsewhere].filter((place) => asked.results[place] === null);
    await this.#lookHere(left, asked);
    return asked.results as LookupResult[];
  }

  /** By their directories; without attachments and what the source is asked for each time, which nobody keeps. */
  #grouped(paths: readonly string[]): Group[] {
    const { local } = this.#parts;
    const roots = new Set(local.attachments().map(({ path }) => path));
    const groups = new Map<string, (Group & { readonly places: number[] }) | null>();
    paths.forEach((path, place) => {
      if (roots.has(path)) return;
      const directory = path.slice(0, path.lastIndexOf('/'));
      let group = groups.get(directory);
      if (group === undefined) {
        const home = local.homeOf(path, 'entry');
        group = home === null ? null : { directory: directory === '' ? '/' : directory, home, places: [] };
        groups.set(directory, group);
      }
      group?.places.push(place);
    });
    return [...groups.values()].filter((group) => group !== null);
  }

  /** None: this node answers. What it answers is counted. */
  #questionsOf(group: Group, asked: Asked): Question[] {
    const { node, owners, copies, reports, heat } = this.#parts;
    const { home, directory, places } = group;
    if (owners.otherOf(home.shard) === null) {
      if (node.isNamed(home.shard)) heat.lookedUp(pathsOf(group, asked), node.id);
      return [];
    }
    const kept = node.view.directory(home.directory);
    if (kept?.rung === 'publish' && copies.has(directory, null)) {
      reports.count(directory, places.length, node.id);
      return [];
    }
    const left = kept?.rung === 'replicate' ? this.#withoutReplicas(group, kept, asked) : group;
    if (left.places.length === 0) return [];
    if (kept === null || kept.shards.length === 1) return [{ ...left, shard: home.shard, part: null }];
    return this.#questionsOfParts(left, kept, asked);
  }

  /** Answers what this node has a replica of. */
  #withoutReplicas(group: Group, { entry }: KeptDirectory, asked: Asked): Group {
    const { node, replicas, reports } = this.#parts;
    const { home, directory } = group;
    const places = group.places.filter((place) => {
      const path = asked.paths[place] as string;
      asked.results[place] = hashOf(path) === entry ? replicas.get(path, home.attachment) : null;
      return asked.results[place] === null;
    });
    const answered = group.places.length - places.length;
    if (answered > 0) reports.count(directory, answered, node.id, entry);
    return { ...group, places };
  }

  /** What this node has a part of is answered at once; the owner of the home answers for its parts as for the whole. */
  #questionsOfParts(group: Group, { shards }: KeptDirectory, asked: Asked): Question[] {
    const { node, owners, copies, local, reports } = this.#parts;
    const { home, directory } = group;
    const left: number[] = [];
    const byPart = new Map<number, number[]>();
    for (const place of group.places) {
      const index = hashOf(asked.paths[place] as string) & (shards.length - 1);
      const same = byPart.get(index);
      if (same === undefined) byPart.set(index, [place]);
      else same.push(place);
    }
    const questions = [...byPart].flatMap(([index, places]): Question[] => {
      const part = { index, count: shards.length };
      const shard = shards[index] as number;
      const owner = owners.otherOf(shard)?.owner;
      if (owner !== undefined && owner !== owners.otherOf(home.shard)?.owner)
        return [{ ...group, shard, part, places }];
      const isMine = owner === undefined && copies.has(directory, part);
      const found = isMine ? local.directories.lookup(pathsOf({ places }, asked), part) : null;
      if (found === null) {
        left.push(...places);
      } else {
        reports.count(directory, places.length, node.id);
        places.forEach((place, at) => (asked.results[place] = found[at] ?? null));
      }
      return [];
    });
    return left.length === 0 ? questions : [...questions, { ...group, shard: home.shard, part: null, places: left }];
  }

  async #askOwners(questions: readonly Question[], asked: Asked): Promise<void> {
    let left = questions;
    for (let redirects = 0; left.length > 0 && redirects <= redirectsMax; redirects += 1) {
      const asking = [...this.#byOwner(left)].map(([owner, of]) => this.#ask(owner, of, asked));
      left = (await Promise.all(asking)).flat();
    }
  }

  async #lookHere(places: readonly number[], asked: Asked): Promise<void> {
    if (places.length === 0) return;
    const found = await this.#parts.local.lookup(pathsOf({ places }, asked), asked.signal);
    places.forEach((place, at) => (asked.results[place] = found[at] as LookupResult));
  }

  #byOwner(questions: readonly Question[]): Map<string, (Question & { readonly owner: ShardOwner })[]> {
    const byOwner = new Map<string, (Question & { readonly owner: ShardOwner })[]>();
    for (const question of questions) {
      const owner = this.#parts.owners.otherOf(question.shard);
      if (owner === null) continue;
      const same = byOwner.get(owner.owner) ?? [];
      same.push({ ...question, owner });
      byOwner.set(owner.owner, same);
    }
    return byOwner;
  }

  /** Fills in what the owner knows; gives the questions that another one is to be asked. */
  async #ask(
    id: string,
    of: readonly (Question & { readonly owner: ShardOwner })[],
    asked: Asked,
  ): Promise<Question[]> {
    const { peers, node, clock, log } = this.#parts;
    const sentMs = clock.monotonicMs();
    const questions = of.map((question) => {
      const { shard, part, owner, home } = question;
      return { shard, term: owner.term, attachment: home.attachment, part, paths: pathsOf(question, asked) };
    });
    const call = { method: 'owner-lookup', request: { from: node.id, questions } } as const;
    try {
      const options = { signal: asked.signal, timeoutSeconds: lookupTimeoutSeconds };
      const { answers } = await peers.call(id, call, options);
      return of.flatMap((question, at) => {
        const answer = answers[at];
        const next = this.#next(question, answer, asked);
        if (answer !== undefined && 'results' in answer) this.#keepReplicas(question, answer.ageSeconds, sentMs, asked);
        return next;
      });
    } catch (error) {
      if (asked.signal.aborted) throw error;
      log.debug('names are not looked up by their owner', { owner: id, error });
      return of.flatMap((question) => homeQuestionOf(question));
    }
  }

  #keepReplicas({ home, directory, places }: Question, ageSeconds: number | null, sentMs: number, asked: Asked): void {
    const { node, local, replicas } = this.#parts;
    const kept = node.view.directory(home.directory);
    if (kept?.rung !== 'replicate' || typeof ageSeconds !== 'number') return;
    const { limitSeconds } = local.directories.age(directory, null);
    const freshUntilMs = sentMs + 1_000 * (limitSeconds - ageSeconds);
    for (const place of places) {
      const path = asked.paths[place] as string;
      const result = asked.results[place] ?? null;
      if (result === null || hashOf(path) !== kept.entry) continue;
      replicas.keep(path, { attachment: home.attachment, result, freshUntilMs });
    }
  }

  /** What is to be asked after this answer. */
  #next(question: Question, answer: OwnerAnswer | undefined, asked: Asked): Question[] {
    const { owners, local } = this.#parts;
    if (answer === undefined) return [];
    if ('repartitioned' in answer) return homeQuestionOf(question);
    if ('moved' in answer) return owners.learn(question.shard, answer.moved) ? [question] : homeQuestionOf(question);
    const { places } = question;
    const found: { readonly place: number; readonly entry: Entry }[] = [];
    places.forEach((place, at) => {
      const result = answer.results[at];
      if (result === undefined) return;
      if (!('error' in result)) found.push({ place, entry: result });
      else if (!otherwiseHere.has(result.error.code)) asked.results[place] = result;
    });
    const entries = local.resolved(found.map(({ entry }) => entry));
    found.forEach(({ place }, at) => {
      const entry = entries[at] ?? null;
      if (entry?.path === asked.paths[place]) asked.results[place] = entry;
    });
    return [];
  }
}

/** The home has all of a directory's names; of what the home did not answer, nobody else is asked. */
function homeQuestionOf(question: Question): Question[] {
  return question.part === null ? [] : [{ ...question, shard: question.home.shard, part: null }];
}

function hashOf(path: string): number {
  return hashName(Buffer.from(nameOf(path)));
}

function pathsOf({ places }: Pick<Group, 'places'>, { paths }: Asked): string[] {
  return places.map((place) => paths[place] as string);
}
