/** `wcvmm run --kernel` with kernels of a few instructions, on this machine's own KVM. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { hostArchitecture } from '../vmm/kvm/arch/index.ts';
import { tinyKernel } from './inside/tiny-kernel.ts';
import type { Deed } from './inside/tiny-kernel.ts';
import { whyNoKvm } from './own-kvm.ts';

const CLI = 'dist/tool/cli/cli.js';
const arch = hostArchitecture()?.name;
const folder = mkdtempSync(join(tmpdir(), 'wcvmm-run-linux-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileWith(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

function run(args: readonly string[], input = ''): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [CLI, 'run', ...args], { encoding: 'utf8', input });
}

function runKernel(deeds: readonly Deed[], args: readonly string[] = [], input = ''): ReturnType<typeof run> {
  const kernel = fileWith('kernel', tinyKernel(arch ?? 'x86', deeds));
  return run(['--kernel', kernel, '--timeout', '60', ...args], input);
}

/** Runs a program, and calls `answer` with all that it has said whenever it says more. */
async function converse(
  program: string,
  args: readonly string[],
  answer: (said: string, child: ChildProcessWithoutNullStreams) => void,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(program, args);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      answer(output, child);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

const why = whyNoKvm();

describe.skipIf(why !== null)(
  `Linux guests on this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`,
  () => {
    test('what the guest says comes out as it is, and its power-off is success', () => {
      expect(runKernel([{ say: 'Name? é' }, 'power-off'])).toMatchObject({ status: 0, stdout: 'Name? é', stderr: '' });
    });

    test('what is typed reaches it, in UTF-8 and more than it has room for at once', () => {
      const line = `${'Jürgen '.repeat(1500)}\n`;
      expect(runKernel(['echo', 'power-off'], [], line)).toMatchObject({ status: 0, stdout: line });
    });

    test('a console can be a file, or none', () => {
      const path = join(folder, 'console');
      expect(runKernel([{ say: 'to a file' }, 'power-off'], ['--console', `file:${path}`])).toMatchObject({
        status: 0,
        stdout: '',
      });
      expect(readFileSync(path, 'utf8')).toBe('to a file');
      expect(runKernel([{ say: 'to nobody' }, 'power-off'], ['--console', 'none'])).toMatchObject({
        status: 0,
        stdout: '',
      });
    });

    test('it reboots again and again, or ends at the first reboot with a code of its own', async () => {
      const { status, stderr } = runKernel(['reset'], ['--no-reboot']);
      expect([status, stderr]).toEqual([4, expect.stringContaining('--no-reboot')]);
      const kernel = fileWith('reset', tinyKernel(arch ?? 'x86', [{ say: 'again ' }, 'reset']));
      let isStopped = false;
      const { code, output } = await converse(process.execPath, [CLI, 'run', '--kernel', kernel], (said, child) => {
        if (!isStopped && said.includes('again again again')) isStopped = child.kill('SIGINT');
      });
      expect([code, output]).toEqual([2, expect.stringContaining('E_INTERRUPTED')]);
    });

    test('a guest whose output nobody reads is stopped, with a sentence', async () => {
      const kernel = fileWith('endless', tinyKernel(arch ?? 'x86', [{ say: 'again ' }, 'reset']));
      const child = spawn(process.execPath, [CLI, 'run', '--kernel', kernel]);
      child.stdout.once('data', () => child.stdout.destroy());
      const said: string[] = [];
      child.stderr.setEncoding('utf8').on('data', (text: string) => void said.push(text));
      expect(await once(child, 'close')).toEqual([2, null]);
      expect(said.join('')).toMatch(/^wcvmm: E_INTERRUPTED: nobody reads standard output any more/);
    });

    test('a guest that never ends is stopped, however often it reboots', () => {
      expect(runKernel(['reset'], ['--timeout', '1'])).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('E_GUEST_TIMEOUT: the guest did not end within 1 s'),
      });
    });

    test.skipIf(arch !== 'x86')('a kernel that dies at once is told from one that reboots', () => {
      const { status, stderr } = runKernel(['fault']);
      expect([status, stderr]).toEqual([2, expect.stringMatching(/E_GUEST_EXIT: the guest caused a triple fault/)]);
    });

    test('at a terminal, keys go to the guest one by one, and Ctrl-a x stops it and gives the terminal back', async () => {
      const kernel = fileWith('echo', tinyKernel(arch ?? 'x86', ['echo', 'spin']));
      const command = `stty -a > ${folder}/before; node ${CLI} run --kernel ${kernel}; echo "code $?"; stty -a > ${folder}/after`;
      const typed = ['é\u0003', '\u0001x'];
      const { output } = await converse('script', ['-qec', command, '/dev/null'], (said, child) => {
        const isNext = typed.length === 2 ? said.includes('sends a Ctrl-a') : said.endsWith('é\u0003');
        if (isNext) child.stdin.write(typed.shift() ?? '');
      });
      expect(output).toMatch(/E_INTERRUPTED: the guest was stopped by Ctrl-a x/);
      expect(output).toMatch(/code 2/);
      expect(readFileSync(join(folder, 'after'), 'utf8')).toBe(readFileSync(join(folder, 'before'), 'utf8'));
    });

    test.each([
      [
        ['--memory', '64M', '--initrd', fileWith('initrd', Buffer.alloc(70 << 20))],
        'E_GUEST_IMAGE',
        /the initrd cannot be used.*--memory/,
      ],
      [['--memory', '1024T'], 'E_USAGE', /1024T of RAM/],
    ])('%j is refused with a sentence', (args, code, sentence) => {
      const { status, stderr } = runKernel(['power-off'], args);
      expect([status, stderr]).toEqual([2, expect.stringMatching(sentence)]);
      expect(stderr).toContain(`wcvmm: ${code}: `);
    });
  },
);

const own = fileWith('own', tinyKernel(arch ?? 'x86', ['power-off']));
const whole = tinyKernel(arch ?? 'x86', [{ say: 'x'.repeat(1000) }]);
const half = fileWith('half', whole.subarray(0, whole.length / 2));
const other = fileWith('other', tinyKernel(arch === 'arm64' ? 'x86' : 'arm64', ['power-off']));

test.skipIf(arch === undefined).each([
  [['--kernel', other], 'E_GUEST_IMAGE', /and an? .* is needed/],
  [['--kernel', half], 'E_GUEST_IMAGE', /it is truncated/],
  [['--kernel', fileWith('gzip', Buffer.from([0x1f, 0x8b, 8]))], 'E_GUEST_IMAGE', /compressed with gzip/],
  [['--kernel', fileWith('empty', new Uint8Array())], 'E_GUEST_IMAGE', /no kernel that is known/],
  [['--kernel', join(folder, 'absent')], 'E_GUEST_IMAGE', /cannot be read/],
  [['--kernel', own, '--cpus', '0'], 'E_USAGE', /expected 1 to 16/],
  [['--kernel', own, '--cpus', '17'], 'E_USAGE', /expected 1 to 16/],
  [['--kernel', own, '--memory', '31M'], 'E_USAGE', /from 32M on/],
  [['--kernel', own, '--console', 'tty'], 'E_USAGE', /stdio, none, or file:PATH/],
  [['--kernel', own, '--console', `file:${folder}/absent/x`], 'E_USAGE', /cannot be written/],
  [['--kernel', own, 'guest.elf'], 'E_USAGE', /either/],
  [[], 'E_USAGE', /either/],
  [['--kernel', own, '--enforce'], 'E_USAGE', /--enforce traps .* no --map asks for one/],
  [['--cpus', '2', 'guest.elf'], 'E_USAGE', /--cpus is for Linux guests/],
  [['--no-reboot', 'guest.elf'], 'E_USAGE', /--no-reboot is for Linux guests/],
])('run %j is refused with a sentence', (args, code, sentence) => {
  const { status, stderr } = run(args);
  expect([status, stderr]).toEqual([2, expect.stringMatching(sentence)]);
  expect(stderr).toContain(`wcvmm: ${code}: `);
});
