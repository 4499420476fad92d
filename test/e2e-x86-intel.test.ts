import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nameOfLeaf } from '../memattr/index.ts';
import type { EptLeaf } from '../testbed/bochs/ept.ts';
import { projectRoot } from '../common/paths.ts';
import type { Report } from '../tool/report/report.ts';
import { countAgain } from './count-again.ts';
import { inTestbed } from './support.ts';
import type { Finished } from './support.ts';

const STOPS = join(projectRoot, 'x86-tests/build/debugger-stop.elf');
/** Of one BAR: each attribute in pages of 4 KiB, and in a block of 2 MiB. */
const WINDOWS = [
  '0-64K=device',
  '64K-128K=wc',
  '128K-192K=default',
  '2M-4M=device',
  '4M-6M=wc',
  '6M-8M=default',
].flatMap((window) => ['-m', `bar0:${window}`]);
const PAGE = 4096;
const BLOCK = 2 << 20;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function twoReaders(
  kernel: 'patched' | 'wrong-type',
): Promise<{ done: Finished; debugger: unknown[]; tracepoint: unknown[] }> {
  const leaves: EptLeaf[] = [];
  const run = {
    kind: 'wcvmm' as const,
    args: ['run', '-d', '0000:00:02.0', ...WINDOWS, '--json', 'run.json', 'debugger-stop.elf'],
  };
  const done = await inTestbed({
    arch: 'x86-intel',
    kernel,
    run,
    inputs: [STOPS],
    outputDir: folder,
    eptLeaf: (leaf) => void leaves.push(leaf),
  });
  const { windows } = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as {
    windows: { gpa: string; stage2: string; blockSize: number }[];
  };
  return {
    done,
    debugger: leaves.map(({ gpa, entry, level, memoryType, ignorePat }) => {
      const name = `EPT ${memoryType}${ignorePat ? ' IPAT' : ''}`;
      // The bits that the debugger printed and the words that it put beside them are the same thing.
      expect(nameOfLeaf('ept', entry, level > 1)).toBe(name);
      return [`0x${gpa.toString(16)}`, name, level === 1 ? PAGE : BLOCK];
    }),
    tracepoint: windows.map(({ gpa, stage2, blockSize }) => [gpa, stage2, blockSize]),
  };
}

describe("EPT, read by KVM's tracepoint and by Bochs' debugger", () => {
  test('both say what was asked for, at 4K and at 2M', async () => {
    const { done, debugger: seen, tracepoint } = await twoReaders('patched');
    expect(done).toMatchObject({ code: 0 });
    expect(seen).toEqual(tracepoint);
    expect(seen).toEqual(
      [PAGE, BLOCK].flatMap((size) =>
        ['EPT UC IPAT', 'EPT WC', 'EPT UC'].map((name) => [expect.any(String), name, size]),
      ),
    );
  });

  test('both notice a KVM that swaps UC and WC', async () => {
    const { debugger: seen, tracepoint } = await twoReaders('wrong-type');
    expect(seen).toEqual(tracepoint);
    expect(seen.map((leaf) => (leaf as string[])[1])).toEqual([
      'EPT WC',
      'EPT UC IPAT',
      'EPT UC',
      'EPT WC',
      'EPT UC IPAT',
      'EPT UC',
    ]);
  });
});

test('verify: both tables of the host are as predicted, at 4K and at 2M, and what nobody could see is said', async () => {
  const run = { kind: 'wcvmm' as const, args: ['verify', '-d', '0000:00:02.0', ...WINDOWS, '--json', 'report.json'] };
  const done = await inTestbed({ arch: 'x86-intel', run, outputDir: folder });
  expect(done).toMatchObject({ code: 0 });
  const json = readFileSync(join(folder, 'report.json'), 'utf8');
  const report = JSON.parse(json) as Report;
  expect(countAgain(json)).toEqual({ shown: 0, of: 0 });
  expect([report.summary.mismatch, report.summary.skipped]).toEqual([0, 0]);
  expect(report.platform).toMatchObject({
    kind: 'testbed',
    emulator: expect.stringMatching(/^bochs-/),
    cookies: true,
    nestedPaging: 'ept',
    iommu: false,
  });
  expect(report.limits?.join('\n')).toMatch(/no probe observed a memory type: bochs-/);
  const windows = report.windows.filter(({ source }) => source === undefined);
  expect(windows.map(({ hostVma, stage2 }) => [hostVma.programmed, stage2.programmed, stage2.blockSize])).toEqual(
    [PAGE, BLOCK].flatMap((size) => [
      ['UC', 'EPT UC IPAT', size],
      ['WC', 'EPT WC', size],
      ['UC-', 'EPT UC', size],
    ]),
  );
  for (const { hostVma, stage2 } of report.windows)
    expect([hostVma.programmed, stage2.programmed]).toEqual([hostVma.predicted, stage2.predicted]);
});

describe('a session on Bochs', () => {
  test('passes streams, exit code and files through, and has its device, KVM and clock', async () => {
    writeFileSync(join(folder, 'in.txt'), 'from the host\n');
    const outputDir = join(folder, 'out');
    const script = `cat in.txt; mkdir sub; echo made inside >sub/out.txt; echo "to error" >&2
      basename $(readlink /sys/bus/pci/devices/0000:00:02.0/driver); ls /dev/vfio/devices /dev/kvm; grep -c '^flags.* vmx ' /proc/cpuinfo; grep -o 'wcvmm.emulator=[^ ]*' /proc/cmdline; date +%s; exit 7`;
    const before = Math.floor(Date.now() / 1000);
    const done = await inTestbed({
      arch: 'x86-intel',
      run: { kind: 'program', args: ['sh', '-c', script] },
      inputs: [join(folder, 'in.txt')],
      outputDir,
    });
    expect([done.code, done.stderr]).toEqual([7, 'to error\n']);
    const lines = done.stdout.trimEnd().split('\n');
    expect(lines.slice(0, -1)).toEqual([
      'from the host',
      'vfio-pci',
      '/dev/kvm',
      '',
      '/dev/vfio/devices:',
      'noiommu-vfio0',
      '1',
      expect.stringMatching(/^wcvmm\.emulator=bochs-[23]\./),
    ]);
    expect(Number(lines.at(-1))).toBeGreaterThanOrEqual(before);
    expect(readdirSync(outputDir, { recursive: true }).sort()).toEqual(['sub', 'sub/out.txt']);
  });

  test('the whole BAR keeps what is written to it', async () => {
    const script = `
      const { openSync, closeSync } = require('node:fs');
      import('/wcvmm/dist/vmm/sys/libc.js').then(({ libcPort: port }) => {
        const fd = port.open('/sys/bus/pci/devices/0000:00:02.0/resource0', 2);
        const length = 16 << 20;
        const bar = new DataView(port.view(port.mmap({ length: BigInt(length), protection: 3, flags: 1, fd, offset: 0n }), length));
        for (let at = 0; at < length; at += 65536) bar.setUint32(at, at ^ 0x5a5a5a5a);
        let wrong = 0;
        for (let at = 0; at < length; at += 65536) wrong += bar.getUint32(at) === ((at ^ 0x5a5a5a5a) >>> 0) ? 0 : 1;
        console.log(wrong);
      });`;
    const done = await inTestbed({ arch: 'x86-intel', run: { kind: 'program', args: ['node', '-e', script] } });
    expect(done).toMatchObject({ code: 0, stdout: '0\n' });
  });

  test('Ctrl-C ends Bochs, removes its files and is told', async () => {
    const child = spawn(
      process.execPath,
      [
        join(projectRoot, 'dist/tool/cli/cli.js'),
        'testbed',
        'exec',
        '--arch',
        'x86-intel',
        '--',
        'sh',
        '-c',
        'echo running; sleep 1000',
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, TMPDIR: folder },
      },
    );
    const errors = text(child.stderr);
    const closed = once(child, 'close');
    await once(child.stdout, 'data');
    const session = readdirSync(folder);
    child.kill('SIGINT');
    expect(await closed).toEqual([2, null]);
    expect(await errors).toContain('E_INTERRUPTED: Stopped by SIGINT');
    expect(session).toEqual([expect.stringMatching(/^wcvmm-session-/)]);
    expect(readdirSync(folder)).toEqual([]);
    const left = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && belongsHere(pid));
    expect(left).toEqual([]);
  });
});

/** Started by the test's own session, whatever became of its parent. */
function belongsHere(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`TMPDIR=${folder}`);
  } catch {
    return false;
  }
}
