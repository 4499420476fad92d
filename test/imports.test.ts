/** The folders of docs/design.md and who may import whom, type imports included: oxlint's no-cycle does not see those. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';

const VMM = ['common', 'memattr', 'vmm', 'vmm/sys', 'vmm/memory'];
const VERIFY = [...VMM, 'tool/report', 'tool/verify', 'tool/verify/read-back'];
/** A folder ("room"), and those that its files may import beside their own. The longest name that fits a file is its room. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  common: [],
  memattr: [],
  'vmm/sys': ['common'],
  'vmm/memory': ['common', 'memattr', 'vmm/sys'],
  vmm: VMM,
  testbed: ['common'],
  'kernel-patches': ['common', 'testbed'],
  'tool/report': ['common', 'memattr'],
  'tool/fleet': ['common', 'memattr', 'tool/report'],
  'tool/verify/read-back': VMM,
  'tool/verify': VERIFY,
  'tool/bench': VERIFY,
  'tool/host': [...VMM, 'tool/verify/read-back'],
  'tool/host/mappings': [...VERIFY, 'tool/host'],
  bench: [...VMM, 'testbed', 'tool/report', 'tool/fleet'],
  'tool/cli': [...VERIFY, 'tool/bench', 'tool/fleet', 'tool/host', 'tool/host/mappings', 'testbed', 'kernel-patches'],
};

const IMPORT = /(?:\bfrom|\bimport|\bimport\()\s*'(\.\.?\/[^']+)'/g;

const files = ['common', 'memattr', 'vmm', 'tool', 'testbed', 'kernel-patches', 'bench'].flatMap((room) =>
  readdirSync(join(projectRoot, room), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => join(room, name)),
);

const imports = new Map(files.map((file) => [file, importsOf(file)]));

function importsOf(file: string): readonly string[] {
  const text = readFileSync(join(projectRoot, file), 'utf8');
  return [...text.matchAll(IMPORT)].map(([, path = '']) => normalize(join(dirname(file), path)));
}

function roomOf(file: string): string {
  const fitting = Object.keys(ROOMS).filter((room) => file.startsWith(`${room}/`));
  return fitting.reduce((longest, room) => (room.length > longest.length ? room : longest), '');
}

/** The first circle that starts and ends at a file, or null. */
function circleFrom(start: string): readonly string[] | null {
  const seen = new Set<string>();
  const waiting: (readonly string[])[] = [[start]];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const next of imports.get(path.at(-1) ?? '') ?? []) {
      if (next === start) return [...path, next];
      if (seen.has(next)) continue;
      seen.add(next);
      waiting.push([...path, next]);
    }
  }
  return null;
}

test('there are files, every one has a room, and every import is of a file', () => {
  expect(files.length).toBeGreaterThan(200);
  expect(files.filter((file) => roomOf(file) === '')).toEqual([]);
  expect(
    [...imports].flatMap(([file, paths]) =>
      paths.filter((path) => !imports.has(path)).map((path) => `${file} imports ${path}`),
    ),
  ).toEqual([]);
});

test('imports run one way: no room reaches back', () => {
  const wrong = [...imports].flatMap(([file, paths]) => {
    const room = roomOf(file);
    const allowed = new Set([room, ...(ROOMS[room] ?? [])]);
    return paths.filter((path) => !allowed.has(roomOf(path))).map((path) => `${file} imports ${path}`);
  });
  expect(wrong).toEqual([]);
});

test('no file imports itself by way of others', () => {
  const circles = files.flatMap((file) => {
    const circle = circleFrom(file);
    return circle !== null && circle[0] === circle.toSorted()[0] ? [circle.join(' -> ')] : [];
  });
  expect(circles).toEqual([]);
});
