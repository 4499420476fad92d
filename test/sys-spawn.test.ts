/** Programs started by libc, without Node's own way. */
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { libcPort } from '../vmm/sys/libc.ts';
import { randomBytes } from '../vmm/sys/random.ts';
import { pipe } from '../vmm/sys/sandbox-calls.ts';
import { isReadable, startProgram, waitForProgram } from '../vmm/sys/spawn.ts';
import type { ProgramEnd, ProgramStart } from '../vmm/sys/spawn.ts';

const folder = mkdtempSync(join(tmpdir(), 'wcvmm-spawn-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The sixth word of /proc/PID/stat. */
function session(stat: string): string {
  return stat.trim().split(' ')[5] ?? '';
}

function shell(script: string, more: Partial<ProgramStart> = {}): { readonly end: ProgramEnd; readonly text: string } {
  const [answers, answer] = pipe();
  const pid = startProgram({ file: '/bin/sh', args: ['-c', script], env: {}, fds: [null, answer, null], ...more });
  closeSync(answer);
  const bytes = Buffer.alloc(4096);
  let text = '';
  for (let got = readSync(answers, bytes); got > 0; got = readSync(answers, bytes))
    text += bytes.toString('utf8', 0, got);
  closeSync(answers);
  return { end: waitForProgram(pid), text };
}

describe('a program', () => {
  test('has its arguments, its environment and its output', () => {
    expect(shell('echo "$0 $A"; exit 7', { env: { A: 'b c', PATH: '/usr/bin:/bin' } })).toEqual({
      end: { kind: 'ended', code: 7 },
      text: '/bin/sh b c\n',
    });
  });

  test('has files in their order, whatever their numbers are here', () => {
    const files = ['one', 'two'].map((name) => {
      writeFileSync(join(folder, name), name);
      return openSync(join(folder, name), 'r');
    });
    const [answers, answer] = pipe();
    // Each of them is a number that one of the others has here.
    const fds = [null, answer, null, ...files.toReversed(), ...files];
    const pid = startProgram({
      file: '/bin/sh',
      args: ['-c', '/bin/cat <&3 <&4; /bin/cat <&3; /bin/cat <&4'],
      env: {},
      fds,
    });
    closeSync(answer);
    expect(isReadable(answers, 10_000)).toBe(true);
    expect(waitForProgram(pid)).toEqual({ kind: 'ended', code: 0 });
    const bytes = Buffer.alloc(64);
    expect(bytes.toString('utf8', 0, readSync(answers, bytes))).toBe('onetwo');
    for (const fd of [answers, ...files]) closeSync(fd);
  });

  test('that a signal ends', () => {
    expect(shell('kill -9 $$').end).toEqual({ kind: 'killed', signal: 9 });
  });

  test('is in a session of its own where that is asked for', () => {
    const script = 'read -r stat </proc/self/stat; echo "$stat"';
    const here = session(readFileSync('/proc/self/stat', 'utf8'));
    expect(session(shell(script).text)).toBe(here);
    expect(session(shell(script, { ownSession: true }).text)).not.toBe(here);
  });

  test('that is not there', () => {
    expect(() => shell('', { file: join(folder, 'none') })).toThrow(/posix_spawn .*none: ENOENT/);
  });
});

test('a file that has nothing yet is not readable', () => {
  const [from, to] = pipe();
  expect(isReadable(from, 0)).toBe(false);
  libcPort.write(to, Uint8Array.of(1));
  expect(isReadable(from, 0)).toBe(true);
  for (const fd of [from, to]) closeSync(fd);
});

test('random bytes differ', () => {
  expect(randomBytes(16)).toHaveLength(16);
  expect(randomBytes(16)).not.toEqual(randomBytes(16));
  expect(() => randomBytes(257)).toThrow(RangeError);
});
