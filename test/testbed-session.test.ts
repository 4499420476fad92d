import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { commandLines } from './command-lines.ts';
import { inTestbed } from './support.ts';

const cli = join(projectRoot, 'dist/tool/cli/cli.js');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function program(...args: string[]): { kind: 'program'; args: string[] } {
  return { kind: 'program', args };
}

/** `wcvmm testbed ...` whose temporary files stand in `folder`. */
function start(...args: string[]): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [cli, 'testbed', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: folder,
    env: { ...process.env, TMPDIR: folder },
  });
}

/** Command lines of the processes whose own mentions `word`. */
function processesWith(word: string): readonly string[] {
  return commandLines().filter((line) => line.includes(word));
}

describe('a session', () => {
  it('passes standard output, standard error and the exit code through', async () => {
    const run = program('sh', '-c', 'echo "to output: it\'s $0"; echo "to error" >&2; exit 7', 'a b');
    expect(await inTestbed({ kernel: 'stock', run })).toEqual({
      code: 7,
      stdout: "to output: it's a b\n",
      stderr: 'to error\n',
    });
  });

  it('loses nothing of a long output', async () => {
    const { stdout } = await inTestbed({ kernel: 'stock', run: program('seq', '1', '100000') });
    const lines = stdout.trimEnd().split('\n');
    expect([lines.length, lines.at(-1)]).toEqual([100_000, '100000']);
  });

  it('takes files in and brings files back', async () => {
    writeFileSync(join(folder, 'in.txt'), 'from the host\n');
    const outputDir = join(folder, 'out');
    mkdirSync(outputDir);
    const run = program('sh', '-c', 'cat in.txt; mkdir sub; echo made inside >sub/out.txt');
    expect(await inTestbed({ kernel: 'stock', run, inputs: [join(folder, 'in.txt')], outputDir })).toMatchObject({
      code: 0,
      stdout: 'from the host\n',
    });
    expect(readdirSync(outputDir, { recursive: true }).sort()).toEqual(['sub', 'sub/out.txt']);
    expect(readFileSync(join(outputDir, 'sub/out.txt'), 'utf8')).toBe('made inside\n');
  });

  it('has the devices of the testbed behind the IOMMU, and KVM', async () => {
    const script = `
      for device in /sys/bus/pci/devices/0000:0[1-4]:00.0; do
        echo $(cat $device/vendor $device/device) $(basename $(readlink $device/driver)) $(test -e $device/iommu_group && echo iommu)
      done
      sed -n 3p /sys/bus/pci/devices/0000:03:00.0/resource
      ls /dev/vfio/devices | wc -l
      ls /dev/kvm /dev/iommu
      grep -o 'wcvmm.emulator=[^ ]*' /proc/cmdline`;
    const { stdout } = await inTestbed({ kernel: 'stock', run: program('sh', '-c', script) });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.slice(0, 4)).toEqual([
      '0x1af4 0x1110 vfio-pci iommu',
      '0x1b36 0x0010 vfio-pci iommu',
      '0x1af4 0x1110 vfio-pci iommu',
      '0x1b36 0x0010 nvme iommu',
    ]);
    const [start, end] = (lines[4] ?? '').split(' ').map(BigInt);
    expect((end ?? 0n) - (start ?? 0n) + 1n).toBe(8n << 30n);
    expect(lines.slice(5)).toEqual([
      '3',
      '/dev/iommu',
      '/dev/kvm',
      expect.stringMatching(/^wcvmm\.emulator=qemu-1\d\./),
    ]);
  });

  it('can have no IOMMU, and another CPU', async () => {
    const script = 'ls /dev/vfio; node -p process.arch; grep -m1 "CPU part" /proc/cpuinfo';
    const { stdout } = await inTestbed({
      kernel: 'stock',
      run: program('sh', '-c', script),
      iommu: false,
      cpu: 'neoverse-n1',
    });
    expect(stdout).toMatch(/^vfio\narm64\nCPU part\s*: 0xd0c\n$/);
  });

  it('runs the patched kernel unless told otherwise', async () => {
    expect((await inTestbed({ run: program('uname', '-r') })).stdout).toMatch(/^7\.3\.\d+-wcvmm\n$/);
    expect((await inTestbed({ kernel: 'stock', run: program('uname', '-r') })).stdout).toMatch(/^7\.3\.\d+\n$/);
  });

  it('stands beside another one', async () => {
    const codes = [3, 4].map(
      async (code) => (await inTestbed({ kernel: 'stock', run: program('sh', '-c', `exit ${code}`) })).code,
    );
    expect(await Promise.all(codes)).toEqual([3, 4]);
  });
});

describe('what goes wrong inside', () => {
  it('a command that is not there', async () => {
    expect(await inTestbed({ kernel: 'stock', run: program('no-such-program') })).toMatchObject({
      code: 127,
      stderr: expect.stringContaining('no-such-program: not found'),
    });
  });

  it('a command that takes too long: the kernel log is shown and kept', async () => {
    await expect(
      inTestbed({
        kernel: 'stock',
        timeout: 8,
        run: program('sh', '-c', 'echo the last words >/dev/kmsg; sleep 1000'),
      }),
    ).rejects.toMatchObject({
      code: 'E_TESTBED',
      message: expect.stringMatching(
        /within 8 s: the command was still running[^]*the last words[^]*The kernel log: \S+\.log$/,
      ),
    });
  });

  it('a kernel that panics', async () => {
    await expect(
      inTestbed({ kernel: 'stock', run: program('sh', '-c', 'echo c >/proc/sysrq-trigger; sleep 1000') }),
    ).rejects.toMatchObject({
      code: 'E_TESTBED',
      message: expect.stringContaining('The kernel of the emulated instance panicked'),
    });
  });

  it('an emulator that refuses', async () => {
    await expect(inTestbed({ kernel: 'stock', cpu: 'no-such-model', run: program('true') })).rejects.toMatchObject({
      code: 'E_TESTBED',
      message: expect.stringMatching(/The emulator printed: [^]*no-such-model/),
    });
  });
});

describe('the command line', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s ends the emulator, removes its files and is told', async (signal) => {
    const child = start('exec', '--stock', '--', 'sh', '-c', 'echo running; sleep 1000');
    const errors = text(child.stderr);
    const closed = once(child, 'close');
    await once(child.stdout, 'data');
    expect(processesWith(folder)).not.toEqual([]);
    child.kill(signal);
    expect(await closed).toEqual([2, null]);
    expect(await errors).toContain(`E_INTERRUPTED: Stopped by ${signal}`);
    expect(processesWith(folder)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ['an architecture without a testbed', ['exec', '--arch', 'mips', '--', 'true'], 'Allowed choices are arm64'],
    ['a timeout of no time', ['exec', '--timeout', '0', '--', 'true'], 'whole number above 0'],
    [
      'an input that is not there',
      ['exec', '--stock', '--input', 'absent', '--', 'true'],
      'E_USAGE: The input absent could not be copied',
    ],
    ['no command', ['exec'], "missing required argument 'program'"],
  ])('%s is refused with exit code 2', async (_what, args, message) => {
    const child = start(...args);
    const errors = text(child.stderr);
    expect(await once(child, 'close')).toEqual([2, null]);
    expect(await errors).toContain(message);
  });

  it('leaves the folder that it is called in alone, and says which files it drops', async () => {
    writeFileSync(join(folder, 'mine'), 'my own');
    const child = start('exec', '--stock', '--', 'sh', '-c', 'echo theirs >mine; mkdir sub; echo >sub/new');
    const errors = text(child.stderr);
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(readdirSync(folder)).toEqual(['mine']);
    expect(readFileSync(join(folder, 'mine'), 'utf8')).toBe('my own');
    expect(await errors).toContain('the command wrote mine, sub/new, dropped with the instance; --output FOLDER');
  });

  it('runs wcvmm inside: its options are its own, its output and exit code come back', async () => {
    const child = start('run', '--stock', '--', '--version');
    const output = text(child.stdout);
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(await output).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
