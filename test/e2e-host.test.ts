import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Inspection } from '../tool/host/mappings/inspect.ts';
import type { HostMapping, HostReport } from '../tool/host/mappings/result.ts';
import { findings, insideScript } from './support.ts';
import type { Finished } from './support.ts';

const DEVICE = '0000:01:00.0';
const MIB = 1 << 20;

/** Stock kernels, no KVM, no VFIO. */
async function lookInside(arch: 'arm64' | 'x86-amd') {
  const { stdout, stderr } = await insideScript('host-mappings', [DEVICE], { arch, kernel: 'stock', timeout: 400 });
  const found = findings(stdout);
  const done = (name: string): Finished => {
    const one = found.get(name) as Finished | undefined;
    if (one === undefined) throw new Error(`nothing of ${name}:\n${stdout}\n${stderr}`);
    return one;
  };
  return {
    done,
    pid: found.get('pid'),
    host: (name: string) => JSON.parse(done(name).stdout) as HostReport,
    inspection: (name: string) => JSON.parse(done(name).stdout) as Inspection,
  };
}

type Look = Awaited<ReturnType<typeof lookInside>>;

function bar2({ mappings }: HostReport): readonly HostMapping[] {
  return mappings.filter(({ device, bar }) => device === DEVICE && bar === 2);
}

describe('an arm64 instance without KVM and VFIO', () => {
  let look: Look;
  beforeAll(async () => {
    look = await lookInside('arm64');
  });

  test('verify --host tells Device from write-combining by loads', () => {
    const report = look.host('all');
    expect(look.done('all').code).toBe(0);
    expect(bar2(report).map(({ file, observed, verdict }) => [file, observed, verdict])).toEqual([
      ['resource2', 'Device', 'match'],
      ['resource2_wc', 'Normal', 'match'],
    ]);
    // The load that works is worth something, as the same one faults elsewhere.
    expect(bar2(report).map(({ excludes }) => excludes.every((type) => type.startsWith('Normal-')))).toEqual([
      true,
      false,
    ]);
    expect(bar2(report).map(({ rules }) => rules.join())).toEqual(['PCI_MM_01', 'PCI_MM_02,PCI_MM_03']);
    expect(report.hazards).toEqual([]);
  });

  test('says why something is not mapped, and leaves a device in use alone', () => {
    const skipped = look.host('all').mappings.filter(({ verdict }) => verdict === 'skipped');
    expect(skipped.find(({ device, bar }) => device === DEVICE && bar === 0)?.note).toMatch(/smaller than a page/);
    expect(skipped.find(({ driver }) => driver === 'nvme')?.note).toMatch(/bound to the driver nvme/);
    expect(look.done('text').stdout).toMatch(
      /✓ 2 of 2 mappings are as predicted; write-combining: 0000:01:00\.0 resource2_wc/,
    );
    expect(look.done('no such BAR').stderr).toMatch(/E_MAP_REGION.*no memory BAR 5/);
  });

  test('inspect names a process that has the BAR mapped, and that its type is assumed', () => {
    const { mappings, limits } = look.inspection('wc: inspect');
    expect(mappings.filter(({ by }) => by.kind === 'process')).toMatchObject([
      {
        device: DEVICE,
        bar: 2,
        offset: MIB,
        length: MIB,
        types: ['Normal-NC'],
        evidence: 'assumed',
        certain: true,
        by: { process: { pid: look.pid } },
      },
    ]);
    expect(limits.join()).toMatch(/arm64 the kernel shows the memory type of no mapping/);
  });
});

/** MIDR_EL1 of NVIDIA's Olympus cores: what Linux then shows of the CPU is not made up here. */
const OLYMPUS = 'max,pauth-impdef=on,midr=0x4e0f0100';

test('verify --host --testbed, on a CPU that is known for what it does', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-test-'));
  try {
    const json = join(folder, 'host.json');
    const options = ['--testbed', 'arm64', '--cpu', OLYMPUS, '-d', DEVICE, '--bar', '2', '--json', json];
    await promisify(execFile)(process.execPath, ['dist/tool/cli/cli.js', 'verify', '--host', ...options]);
    const report = JSON.parse(await readFile(json, 'utf8')) as HostReport;
    expect(report).toMatchObject({
      emulator: expect.stringMatching(/^qemu-/),
      origin: { cpu: { model: '0x000000004e0f0100' } },
    });
    expect(report.hazards.map(({ id, certain }) => [id, certain])).toEqual([
      // A SoC id is not shown.
      ['nvidia-vera-partial-nc-writes', false],
      ['nvidia-olympus-1027', true],
    ]);
    expect(bar2(report).map(({ file, verdict, hazards }) => [file, verdict, hazards])).toEqual([
      ['resource2', 'match', ['nvidia-olympus-1027']],
      ['resource2_wc', 'match', ['nvidia-vera-partial-nc-writes']],
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe('an x86 instance without KVM and VFIO', () => {
  let look: Look;
  beforeAll(async () => {
    look = await lookInside('x86-amd');
  });

  test("verify --host reads the kernel's record", () => {
    expect(look.done('all').code).toBe(0);
    expect(bar2(look.host('all')).map(({ file, programmed, verdict }) => [file, programmed, verdict])).toEqual([
      ['resource2', 'UC-', 'match'],
      ['resource2_wc', 'WC', 'match'],
    ]);
  });

  test('inspect names a process that has the BAR mapped, and its type', () => {
    for (const [name, type] of [
      ['wc', 'WC'],
      ['uc', 'UC-'],
    ] as const) {
      const { mappings, records } = look.inspection(`${name}: inspect`);
      expect(mappings.filter(({ by }) => by.kind === 'process')).toMatchObject([
        {
          device: DEVICE,
          bar: 2,
          offset: MIB,
          length: MIB,
          types: [type],
          evidence: 'recorded',
          certain: true,
          by: { process: { pid: look.pid } },
        },
      ]);
      expect(records.filter(({ device }) => device === DEVICE)).toEqual([
        { device: DEVICE, bar: 2, offset: MIB, length: MIB, type },
      ]);
      expect(look.done(`${name}: pid`).stdout).toMatch(
        new RegExp(`bar2:1M +1M +${type} +process ${String(look.pid)} `),
      );
    }
    // A neighbour's record is nobody else's: both ends are looked at.
    expect(look.inspection('nobody').mappings).toEqual([]);
    expect(look.inspection('wc: inspect').mappings.find(({ driver }) => driver === 'nvme')).toMatchObject({
      by: { kind: 'kernel' },
      types: ['UC-'],
    });
  });

  test('a BAR that somebody has mapped otherwise is a mismatch, and exit code 1', () => {
    expect([look.done('wc: verify').code, look.done('uc: verify').code]).toEqual([1, 1]);
    expect(bar2(look.host('uc: verify')).map(({ verdict, note }) => [verdict, note?.slice(0, 24) ?? null])).toEqual([
      ['match', null],
      ['mismatch', 'asked for WC, got UC-: t'],
    ]);
    expect(bar2(look.host('wc: verify')).map(({ verdict }) => verdict)).toEqual(['mismatch', 'match']);
  });

  test('a process that there is not', () => {
    expect(look.done('own pid').stderr).toMatch(/E_USAGE: there is no process 999999/);
  });
});
