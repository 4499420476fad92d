/** Linux as a guest with passed-through devices, with the testbed's own kernel in both places, on arm64 and on x86. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { compileC } from '../testbed/compile.ts';
import { buildKernels } from '../testbed/index.ts';
import { packCpio } from '../common/cpio.ts';
import type { LinuxDevicesRequest } from './inside/linux-devices.ts';
import { findings, insideScript } from './support.ts';
import type { Finished } from './support.ts';
import { MACHINES, isWanted, why } from './linux-guests.ts';

const [NVME, IVSHMEM] = ['0000:04:00.0', '0000:01:00.0'];
const BYTES = 1 << 20;
const DISK = { address: NVME, bytes: BYTES };
/** How the guest sees the second device. */
const BAR = '/sys/bus/pci/devices/0000:00:02.0/resource2';

async function initramfs(arch: 'arm64' | 'x86', file: string): Promise<void> {
  const init = await compileC({
    compiler: arch === 'arm64' ? 'aarch64-linux-gnu-gcc' : 'x86_64-linux-gnu-gcc',
    source: join(projectRoot, 'test/inside/guest-devices.c'),
    flags: ['-static'],
    signal: new AbortController().signal,
  });
  const entries = [
    { kind: 'directory', path: 'dev', mode: 0o755 },
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: 'init', mode: 0o755, data: await readFile(init) },
  ] as const;
  await writeFile(file, Buffer.concat([...packCpio(entries)]));
}

/** The guest's lines that start with this. */
function lines({ stdout }: Finished, start: string): readonly string[] {
  return stdout
    .split(/\r?\n/)
    .filter((line) => line.startsWith(start))
    .map((line) => line.trimEnd());
}

/** What was counted when the guest said so. */
function exitCounts({ stdout }: Finished): readonly Record<string, number>[] {
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{"name":"exits"'))
    .map((line) => JSON.parse((JSON.parse(line) as { found: string }).found) as Record<string, number>);
}

function served({ mmio_exit_user = 0, mmio_exits = 0 }: Record<string, number>): number {
  return mmio_exit_user + mmio_exits;
}

test.skipIf(!isWanted)(`Linux guests in both testbeds${why}`, () => {
  expect(MACHINES).toHaveLength(2);
});

describe.each(MACHINES)('a Linux guest with devices in the %s testbed', async (arch, kernelArch) => {
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-guest-'));
  afterAll(() => rm(folder, { recursive: true }));
  const [kernel = ''] = await buildKernels({ arch: kernelArch, variants: ['patched'], outputDir: folder });
  const initrd = join(folder, 'devices.cpio');
  await initramfs(kernelArch, initrd);
  const boot = (request: Omit<LinuxDevicesRequest, 'kernel' | 'initrd'>): Promise<Finished> =>
    insideScript(
      'linux-devices',
      [JSON.stringify({ ...request, kernel: basename(kernel), initrd: basename(initrd) })],
      {
        arch,
        inputs: [kernel, initrd],
        timeout: 300,
      },
    );

  describe('an NVMe controller', async () => {
    const [few, many] = [8, 64];
    const ran = await boot({
      devices: [{ address: NVME }],
      take: [DISK],
      append: `quiet -- read=nvme0n1:${BYTES} read=nvme0n1:${many * (128 << 10)} read=nvme0n1:${few * (128 << 10)}`,
    });
    const reads = lines(ran, 'read: ').map((line) =>
      /in (\d+) reads, crc (\S+), (\d+) interrupts/.exec(line)?.slice(1),
    );

    test("is driven by the guest's own driver, which reads what the instance has read", () => {
      expect(ran.code).toBe(0);
      expect(lines(ran, 'pci: 0000:00:01.0')).toEqual([expect.stringMatching(/driver nvme$/)]);
      expect(reads[0]?.[1]).toBe(findings(ran.stdout).get(`crc ${NVME}`));
    });

    test('interrupts the guest for each read', () => {
      expect(reads.map((read) => Number(read?.[0]))).toEqual([BYTES >> 17, many, few]);
      for (const read of reads) expect(Number(read?.[2])).toBeGreaterThanOrEqual(Number(read?.[0]));
    });

    test('needs no exit for that: 64 reads have no more than 8', () => {
      const counts = exitCounts(ran);
      const [first = 0, second = 0, third = 0] = counts.map(served);
      expect(counts).toHaveLength(3);
      // What a line on the console costs is in both.
      expect(Math.abs(second - first - (third - second))).toBeLessThan(few);
    });
  });

  describe('two devices, and attributes of a BAR', async () => {
    const ran = await boot({
      cpus: 4,
      boots: 3,
      devices: [{ address: NVME }, { address: IVSHMEM, maps: ['bar2:0-64K=device', 'bar2:64K-128K=wc'] }],
      take: [DISK],
      append: `quiet -- enable=0000:00:02.0 read=nvme0n1:${BYTES} load=${BAR}_wc:1 load=${BAR}_wc:65537 load=${BAR}:65536 reset=0000:00:01.0 read=nvme0n1:${BYTES} reboot`,
    });
    const loads = lines(ran, 'load: ');

    test('work in three boots, and after a reset of the function in each', () => {
      const found = findings(ran.stdout);
      expect(['end 1', 'end 2', 'end 3'].map((name) => found.get(name))).toEqual(['reset', 'reset', 'reset']);
      const sums = lines(ran, 'read: ').map((line) => / crc (\S+),/.exec(line)?.[1]);
      expect(sums).toEqual(Array.from({ length: 6 }, () => found.get(`crc ${NVME}`)));
    });

    test.runIf(arch === 'arm64')(
      'fault where device is asked for, and do not where wc is, for an unaligned access',
      () => {
        expect(loads.slice(0, 3)).toEqual([
          expect.stringMatching(/_wc at 0x1: signal 7$/),
          expect.stringMatching(/_wc at 0x10001: 0x/),
          expect.stringMatching(/resource2 at 0x10000: 0x/),
        ]);
      },
    );

    test.runIf(arch !== 'arm64')('can be loaded from', () => {
      for (const line of loads) expect(line).toMatch(/: 0x[0-9a-f]{8}$/);
    });
  });
});
