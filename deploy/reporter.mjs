// A reporter for node:test that writes one JSON object a line: what deploy/test.mjs counts.
// A file's own event comes only when the file crashed, ran over its limit, or holds no test.

/** @param {AsyncIterable<{type: string, data: any}>} events */
export default async function* reporter(events) {
  for await (const { type, data } of events) {
    const line = lineOf(type, data);
    if (line !== null) yield `${JSON.stringify(line)}\n`;
  }
}

function lineOf(type, data) {
  switch (type) {
    case 'test:start':
      return data.nesting === 0 ? { kind: 'start', file: data.file, name: data.name } : null;
    case 'test:pass':
    case 'test:fail':
      return isCounted(data) ? outcomeOf(type === 'test:pass', data) : null;
    case 'test:stdout':
    case 'test:stderr':
      return { kind: 'output', file: data.file, text: data.message };
    default:
      return null;
  }
}

/** Suites are counted by their tests; one that is skipped has none that are told of. */
function isCounted({ details, skip }) {
  return details.type !== 'suite' || isSkipped(skip);
}

function isSkipped(skip) {
  return skip !== undefined && skip !== false;
}

function outcomeOf(passed, data) {
  const { name, file, nesting } = data;
  const skipped = isSkipped(data.skip);
  const reason = typeof data.skip === 'string' ? data.skip : '';
  const detail = passed ? '' : describe(data.details.error);
  return { kind: 'outcome', name, file, nesting, passed, skipped, reason, detail };
}

function describe(error) {
  const cause = error?.cause ?? error;
  if (typeof cause !== 'object' || cause === null) return exitOf(error) + String(cause);
  return exitOf(error) + (cause.stack ?? cause.message ?? String(cause));
}

/** How a file's process ended, where it ended by itself. */
function exitOf(error) {
  if (typeof error?.signal === 'string') return `ended by ${error.signal}: `;
  return typeof error?.exitCode === 'number' ? `exit ${error.exitCode}: ` : '';
}
