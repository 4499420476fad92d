import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';

const page = readFileSync(join(projectRoot, 'docs/changing.md'), 'utf8');
const named = [...page.matchAll(/`([\w-]+(?:\/[\w.-]+)+\/?|[\w-]+\.(?:md|json))`/g)].map(([, path]) => path ?? '');

test('names files, and each of them exists', () => {
  expect(named.length).toBeGreaterThan(40);
  expect(named.filter((path) => !existsSync(join(projectRoot, path)) && !path.endsWith('.config'))).toEqual([]);
});

test.each(['ATTRIBUTES', 'ARCHES', 'PROBES', 'SOURCES', 'OUTCOMES'])('%s is a list that types derive from', (list) => {
  const model = readFileSync(join(projectRoot, 'memattr/model.ts'), 'utf8');
  expect(model).toMatch(
    new RegExp(`export const ${list} = \\[[^;]*\\] as const;\\n\\nexport type \\w+ = \\(typeof ${list}\\)`),
  );
});

test('ten usual changes, and one that none of them is complete without', () => {
  expect([...page.matchAll(/^## An? /gm)]).toHaveLength(11);
});
