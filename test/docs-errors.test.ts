import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { ERROR_CODES } from '../common/errors.ts';

const page = readFileSync(join(projectRoot, 'docs/errors.md'), 'utf8');
const sections = new Map(
  page
    .split(/^### /m)
    .slice(1)
    .map((section) => [
      section.slice(0, section.indexOf('\n')),
      section.slice(section.indexOf('\n')).split(/^## /m)[0]?.trim() ?? '',
    ]),
);

function sources(folder: string): readonly string[] {
  return readdirSync(join(projectRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== 'errors.ts')
    .map((name) => readFileSync(join(projectRoot, folder, name), 'utf8'));
}

test("the page has every code, once, in the code's order, and no other", () => {
  expect([...sections.keys()]).toEqual(ERROR_CODES);
});

test.each(ERROR_CODES)('%s is explained at some length', (code) => {
  expect(sections.get(code)?.length).toBeGreaterThan(60);
});

test('every code is one that somebody can meet', () => {
  const code = ['common', 'vmm', 'tool', 'testbed', 'kernel-patches'].flatMap(sources).join('\n');
  expect(ERROR_CODES.filter((name) => !code.includes(`'${name}'`))).toEqual([]);
});
