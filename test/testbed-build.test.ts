import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { projectRoot } from '../common/paths.ts';

/** A "kernel" that says through a pipe when it is being compiled and then waits to be told to go on. */
const makefile = `
VERSION = 7
PATCHLEVEL = 3
mrproper:
allnoconfig:
	@cp $(KCONFIG_ALLCONFIG) .config
Image:
	@echo "  CC      init/main.o"
	@echo compiling > ${'$'}${'$'}FOLDER/compiling; read go < ${'$'}${'$'}FOLDER/go
	@mkdir -p arch/arm64/boot; echo image >> arch/arm64/boot/Image; echo built >> ${'$'}${'$'}FOLDER/builds
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  mkdirSync(join(folder, 'linux'));
  writeFileSync(join(folder, 'linux/Makefile'), makefile);
  execFileSync('mkfifo', [join(folder, 'compiling'), join(folder, 'go')]);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function build(): ChildProcessByStdio<null, Readable, Readable> {
  const args = [
    join(projectRoot, 'dist/tool/cli/cli.js'),
    'kernel',
    'build',
    '--stock',
    '--linux-source',
    join(folder, 'linux'),
  ];
  return spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, XDG_CACHE_HOME: join(folder, 'cache'), FOLDER: folder },
  });
}

/** Ends when the kernel is being compiled. */
async function compiling(): Promise<void> {
  await once(spawn('cat', [join(folder, 'compiling')], { stdio: 'ignore' }), 'exit');
}

function goOn(): void {
  execFileSync('sh', ['-c', 'echo > "$0"', join(folder, 'go')]);
}

/** Of every process on this machine. */
function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    });
}

function filesBelow(path: string): string[] {
  return readdirSync(path, { recursive: true }).map(String);
}

it('is built once for two who want it at the same time', async () => {
  const builds = [build(), build()];
  const printed = builds.map(async (child) => text(child.stdout));
  const codes = builds.map(async (child) => once(child, 'close'));
  await compiling();
  goOn();
  expect(await Promise.all(codes)).toEqual([
    [0, null],
    [0, null],
  ]);
  const [one, other] = await Promise.all(printed);
  expect(one).toBe(other);
  expect(readFileSync((one ?? '').trim(), 'utf8')).toBe('image\n');
  expect(readFileSync(join(folder, 'builds'), 'utf8')).toBe('built\n');
});

it('leaves no image, nothing half-written and no process when it is interrupted, and goes on the next time', async () => {
  const interrupted = build();
  const errors = text(interrupted.stderr);
  const closed = once(interrupted, 'close');
  await compiling();
  interrupted.kill('SIGINT');
  expect(await closed).toEqual([2, null]);
  expect(await errors).toContain('E_INTERRUPTED');
  expect(filesBelow(join(folder, 'cache')).filter((path) => /Image|\.tmp\./.test(path))).toEqual([]);
  expect(commandLines().filter((line) => line.includes(folder))).toEqual([]);

  const next = build();
  const printed = text(next.stdout);
  await compiling();
  goOn();
  expect(readFileSync((await printed).trim(), 'utf8')).toBe('image\n');
});
