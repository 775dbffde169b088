// Writes THIRD-PARTY-NOTICES.md: what is passed on with Millpool, and under which licences. `--check` only compares.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { licencesOf } from './licence.mjs';
import { root } from './places.mjs';

const noticesPath = `${root}/THIRD-PARTY-NOTICES.md`;
/** What of `packages/` is published; `test` and `bench` are not. */
const product = /^packages\//;
/** What is loaded into Node and into Python. */
const loaded = ['millpool-node', 'millpool-python'];

/**
 * A dependency that is passed on.
 * @typedef {{name: string, version: string, expression: string, folder: string, authors: string}} Dependency
 */

const textOf = (path) => readFileSync(path, 'utf8');

/** @returns {Dependency[]} what the lock file gives the published packages, development tools apart. */
function npmPackages() {
  const locked = JSON.parse(textOf(`${root}/package-lock.json`)).packages;
  const found = new Set();
  const visit = (place) => {
    const { dependencies, optionalDependencies } = locked[place];
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const target = resolve(locked, place, name);
      // What has `os` is the same project, built for one platform.
      if (target === null || found.has(target) || locked[target].os !== undefined || locked[target].link) continue;
      found.add(target);
      visit(target);
    }
  };
  Object.keys(locked)
    .filter((place) => product.test(place) && !place.includes('node_modules'))
    .forEach(visit);
  return [...found].map((place) => {
    const { author = '' } = JSON.parse(textOf(`${root}/${place}/package.json`));
    const authors = typeof author === 'string' ? author : author.name;
    const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const { version, license: expression } = locked[place];
    return { name, version, expression, folder: `${root}/${place}`, authors };
  });
}

/** Where `name` is found from `place`, as Node looks for it: inside, then further out. Null where it is not. */
function resolve(locked, place, name) {
  for (let folder = place; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
    const target = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (locked[target] !== undefined) return target;
    if (folder === '') return null;
  }
}

/** @returns {Dependency[]} the crates that are linked into what is loaded; macros and build scripts only build it. */
function crates() {
  const platform = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-gnu`;
  const flags = ['--quiet', '--format-version', '1', '--locked', '--filter-platform', platform];
  const output = execFileSync('cargo', ['metadata', ...flags, '--manifest-path', `${root}/native/Cargo.toml`], {
    maxBuffer: 1 << 28,
  });
  const { packages, resolve: graph } = JSON.parse(output.toString());
  const byId = new Map(packages.map((each) => [each.id, each]));
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  const isMacro = (id) => byId.get(id).targets.some(({ kind }) => kind.includes('proc-macro'));
  const found = new Set();
  const visit = (id) => {
    if (found.has(id) || isMacro(id)) return;
    found.add(id);
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) if (kinds.some(({ kind }) => kind === null)) visit(pkg);
  };
  for (const { name, id } of packages) if (loaded.includes(name)) visit(id);
  return [...found]
    .map((id) => byId.get(id))
    .filter(({ source }) => source !== null)
    .map(({ name, version, license, manifest_path: manifest, authors }) => {
      return { name, version, expression: license, folder: dirname(manifest), authors: authors.join(', ') };
    });
}

/** The texts to be passed on with a dependency: for the licence taken where it offers several, else all that it has. */
function licenceTexts({ folder, expression }) {
  const files = readdirSync(folder)
    .filter((name) => /^(licen[cs]e|copying|notice)/i.test(name))
    .sort();
  const licences = licencesOf(expression);
  if (licences.length > 1) return files.map((name) => textOf(`${folder}/${name}`));
  const own = files.find((name) => name.toUpperCase().endsWith(`-${licences[0].split('-')[0].toUpperCase()}`));
  const chosen = own ?? files.find((name) => /^(licen[cs]e|copying)(\.\w+)?$/i.test(name));
  const attributions = files.filter((name) => /^notice/i.test(name));
  return [...(chosen === undefined ? [] : [chosen]), ...attributions].map((name) => textOf(`${folder}/${name}`));
}

const isHolder = (line) =>
  /^\s*(?:copyright\b(?! (?:notice|owner|holder|license)).*\d{4}|copyright \(c\)|©)/i.test(line);

/** Texts that differ in nothing but their holders and line breaks are written once. */
function groupedTexts(dependencies) {
  const groups = new Map();
  for (const dependency of dependencies) {
    const texts = licenceTexts(dependency);
    if (texts.length === 0) addText(groups, dependency, standIn(dependency));
    for (const text of texts) addText(groups, dependency, text);
  }
  return [...groups.values()];
}

function addText(groups, { name, expression }, text) {
  const lines = text
    .replaceAll('\r', '')
    .trim()
    .split('\n')
    .map((line) => line.trimEnd());
  const isApache = /apache license/i.test(lines.slice(0, 5).join());
  const holders = isApache ? [] : lines.filter(isHolder).map((line) => line.trim());
  const body = isApache ? lines : lines.filter((line) => !isHolder(line));
  const key = body.join(' ').replaceAll(/\s+/g, ' ').trim();
  const group = groups.get(key) ?? { licences: licencesOf(expression), body: body.join('\n').trim(), users: [] };
  group.users.push(holders.length === 0 ? name : `${name}: ${holders.join('; ')}`);
  groups.set(key, group);
}

/** For a package that comes without the text of the licence that it names. */
function standIn({ name, expression, authors }) {
  const [licence] = licencesOf(expression);
  const source = { MIT: `${root}/node_modules/lmdb/LICENSE`, 'Apache-2.0': `${root}/LICENSE` }[licence];
  if (source === undefined) throw new Error(`${name} has no text of its licence, ${licence}`);
  const holder = `Copyright (c) ${authors === '' ? `the authors of ${name}` : authors.replaceAll(/\s*<[^>]*>/g, '')}`;
  const lines = textOf(source).split('\n');
  return licence === 'MIT' ? lines.map((line) => (isHolder(line) ? holder : line)).join('\n') : lines.join('\n');
}

function table(dependencies) {
  const rows = dependencies.map(({ name, version, expression }) => `| ${name} | ${version} | ${expression} |`);
  return ['| name | version | licence |', '|---|---|---|', ...rows].join('\n');
}

function written() {
  const byName = (one, other) => (one.name + one.version < other.name + other.version ? -1 : 1);
  const [npm, linked] = [npmPackages().sort(byName), crates().sort(byName)];
  const texts = groupedTexts([...npm, ...linked]).map(
    ({ licences, body, users }) =>
      `### ${licences.join(' and ')}\n\n${users.join('\n\n')}\n\n\`\`\`text\n${body}\n\`\`\``,
  );
  return `# Third-party notices

Millpool, itself under Apache-2.0 (\`LICENSE\`), is passed on with the work of others that is listed here. This file is
written by \`node deploy/notices.mjs\` from the two lock files, and a test holds it to them. What only builds or tests
Millpool is not part of it. Packages for one platform each (\`@lmdb/lmdb-linux-x64\`) are listed as their project.

## npm packages

${table(npm)}

## Crates in the addon and the extension module

With them the Rust standard library, MIT OR Apache-2.0, copyright The Rust Project Contributors.

${table(linked)}

## Texts

Where a choice is offered, MIT is taken first, then ISC, BSD, Apache-2.0.

${texts.join('\n\n')}
`;
}

const wanted = written();
if (!process.argv.includes('--check')) writeFileSync(noticesPath, wanted);
else if (!existsSync(noticesPath) || textOf(noticesPath) !== wanted) {
  process.stderr.write('THIRD-PARTY-NOTICES.md is not of these lock files: run `node deploy/notices.mjs`\n');
  process.exitCode = 1;
}
