import type { MillpoolNode } from '@millpool/test/harness';
import { connectTransport } from '@millpool/transport';
import type { TransportConnection } from '@millpool/transport';

const timeoutSeconds = 60;
/** How the error of such a question ends. */
export const wrongAnswer = 'was not answered rightly';

/** Questions for the names of a directory, so many under way at each of several daemons all the time. */
export class LookUpLoad {
  readonly #connections: readonly TransportConnection[];
  readonly #underWay: number;
  #longestSeconds = 0;

  private constructor(connections: readonly TransportConnection[], underWay: number) {
    this.#connections = connections;
    this.#underWay = underWay;
  }

  /** `underWay`: questions at each of the daemons. */
  static async connect(nodes: readonly MillpoolNode[], underWay: number): Promise<LookUpLoad> {
    const connections = await Promise.all(nodes.map((node) => connectTransport(`${node.socket}.control`)));
    return new LookUpLoad(connections, underWay);
  }

  /** That one question has taken. */
  get longestSeconds(): number {
    return this.#longestSeconds;
  }

  /** Names that were answered, by the second, for so long. Throws where an answer is wrong. */
  async run(seconds: number, nextQuestion: () => readonly string[]): Promise<number[]> {
    const startMs = performance.now();
    const answered = Array.from({ length: Math.ceil(seconds) }, () => 0);
    const ask = async ({ call }: TransportConnection): Promise<void> => {
      for (;;) {
        const paths = nextQuestion();
        const askedMs = performance.now();
        const { results } = await call('stat', { paths }, { timeoutSeconds });
        const nowMs = performance.now();
        this.#longestSeconds = Math.max(this.#longestSeconds, (nowMs - askedMs) / 1000);
        const second = Math.floor((nowMs - startMs) / 1000);
        const wrong = paths.find((path, at) => {
          const result = results[at];
          return result === undefined || 'error' in result || result.path !== path;
        });
        if (wrong !== undefined) throw new Error(`${wrong} ${wrongAnswer}`);
        if (second >= answered.length) return;
        answered[second] = (answered[second] ?? 0) + paths.length;
      }
    };
    const asking = this.#connections.flatMap((one) => Array.from({ length: this.#underWay }, () => ask(one)));
    await Promise.all(asking);
    return answered;
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) await connection.close();
  }
}
