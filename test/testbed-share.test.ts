import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { consoleTail, isPanic } from '../testbed/console.ts';
import { progressOn } from '../common/progress.ts';
import {
  collectOutput,
  outputFiles,
  commandScript,
  prepareShare,
  removeShare,
  shellQuote,
  type Command,
} from '../testbed/share.ts';

const command: Command = { args: ['true'], env: {}, interactive: false };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('quotes any word so that a shell gives it back', () => {
  const word = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (words) => {
      const given = execFileSync('sh', ['-c', `printf '%s\\0' ${words.map(shellQuote).join(' ')}`], {
        encoding: 'utf8',
      });
      expect(given).toBe(words.map((text) => `${text}\0`).join(''));
    }),
    { numRuns: 30 },
  );
});

it('sets the environment before it runs the command', () => {
  expect(
    execFileSync('sh', ['-c', commandScript({ ...command, args: ['printenv', 'X'], env: { X: "it's" } })], {
      encoding: 'utf8',
    }),
  ).toBe("it's\n");
});

it('brings back new and changed files and folders, and neither untouched inputs nor links', async () => {
  const inputs = ['kept.txt', 'changed.txt'].map((name) => join(folder, name));
  for (const input of inputs) writeFileSync(input, 'input');
  const share = await prepareShare(command, inputs);
  const work = join(share.path, 'work');
  expect(readFileSync(join(work, 'kept.txt'), 'utf8')).toBe('input');
  writeFileSync(join(work, 'changed.txt'), 'longer output');
  mkdirSync(join(work, 'sub'));
  writeFileSync(join(work, 'sub/new.txt'), 'new');
  symlinkSync('/etc/hostname', join(work, 'link'));

  expect(await outputFiles(share)).toEqual(['changed.txt', 'sub/new.txt']);
  const out = join(folder, 'out');
  await collectOutput(share, out);
  expect(readdirSync(out, { recursive: true }).sort()).toEqual(['changed.txt', 'sub', 'sub/new.txt']);
  expect(readFileSync(join(out, 'changed.txt'), 'utf8')).toBe('longer output');
  await removeShare(share);
});

it.each([
  ['absent', ['absent']],
  ['twice the same name', ['one', 'sub/one']],
])('refuses an input: %s', async (_why, names) => {
  mkdirSync(join(folder, 'sub'));
  writeFileSync(join(folder, 'one'), '');
  writeFileSync(join(folder, 'sub/one'), '');
  await expect(
    prepareShare(
      command,
      names.map((name) => join(folder, name)),
    ),
  ).rejects.toMatchObject({ code: 'E_USAGE' });
});

it('shows the end of a console log without control sequences', () => {
  expect(consoleTail('one\r\ntwo\r\n\u001B[1;31mthree\u001B[0m\r\n\r\n', 2)).toBe('    two\n    three');
  expect(isPanic('[    1.0] Kernel panic - not syncing: VFS')).toBe(true);
});

/** What a build of a minute says. */
function saidOn(isTTY: boolean): string {
  let said = '';
  let now = 0;
  const progress = progressOn({ isTTY, columns: 40, write: (text) => (said += text) }, () => now);
  progress.moment('booting');
  progress.phase('building');
  for (now = 1000; now <= 61_000; now += 10_000) progress.update(`${now / 1000} files`);
  progress.done();
  return said;
}

it('says now and then how far it is, without a terminal, and nothing of what is short', () => {
  expect(saidOn(false)).toBe('wcvmm: building\nwcvmm: building: 31 files, 0:31\nwcvmm: building: 61 files, 1:01\n');
});

it('rewrites one line on a terminal and takes it away at the end', () => {
  const updates = [1, 11, 21, 31, 41, 51].map(
    (seconds) => `wcvmm: building: ${seconds} files, 0:${String(seconds).padStart(2, '0')}`,
  );
  expect(saidOn(true).split('\r\u001B[K')).toEqual([
    '',
    'wcvmm: booting',
    'wcvmm: building',
    ...updates,
    'wcvmm: building: 61 files, 1:01',
    '',
  ]);
});
