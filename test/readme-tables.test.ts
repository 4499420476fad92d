import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { attributeTable, guestTable } from './attribute-tables.ts';

test.each([
  ['what attributes become', attributeTable()],
  ['what guests get', guestTable()],
])("README's table of %s is memattr's", (_what, table) => {
  expect(readFileSync('README.md', 'utf8')).toContain(`\n\n${table}\n\n`);
});
