import { describe, expect, it } from 'vitest';
import { deviceFacts, kindOfMachine, machineFacts, nameMachines } from '../tool/report/machine.ts';
import { compareMachines } from '../tool/report/machines.ts';
import { renderMachines } from '../tool/report/machines-text.ts';
import type { Report } from '../tool/report/report.ts';
import { benchReport, changeChecks, sampleReport, sampleWindow, x86Report } from './report-sample.ts';

const plain = { columns: 100, color: false };
const arm = sampleReport();
const named = (...reports: readonly Report[]): ReturnType<typeof nameMachines> =>
  nameMachines(reports.map((report, index) => ({ path: `${'abc'[index] ?? ''}.json`, report })));
const three = named(arm, x86Report('npt'), x86Report('ept'));
/** The same machine, whose atomics fault and whose zero-block is as the architecture has it. */
const other = changeChecks(arm, ({ probe, verdict }) => {
  if (probe === 'zero-block' && verdict === 'erratum')
    return { observed: 'alignment-fault', verdict: 'match', note: null };
  return probe === 'atomic' && verdict === 'unobservable' ? { observed: 'atomic-fault' } : undefined;
});
const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));

describe('names of machines', () => {
  it('go by kind, then by file, then by number', () => {
    expect(three.map(({ name }) => name)).toEqual(['arm64', 'x86 AMD', 'x86 Intel']);
    expect(named(arm, arm).map(({ name }) => name)).toEqual(['arm64 a', 'arm64 b']);
    expect(
      nameMachines([
        { path: 'x/r.json', report: arm },
        { path: 'y/r.json', report: arm },
      ]).map(({ name }) => name),
    ).toEqual(['arm64 r (1)', 'arm64 r (2)']);
  });

  it('take the vendor from what the CPU says, else from its nested paging', () => {
    const { platform } = x86Report('ept');
    expect(kindOfMachine({ arch: 'x86', platform: { ...platform, nestedPaging: null } })).toBe('x86');
    expect(kindOfMachine({ arch: 'x86', platform: { ...platform, vendor: 'AuthenticAMD', nestedPaging: null } })).toBe(
      'x86 AMD',
    );
    for (const vendor of ['CentaurHauls', 'constructor', '__proto__'])
      expect(kindOfMachine({ arch: 'x86', platform: { ...platform, vendor } })).toBe(`x86 ${vendor}`);
  });

  it('stand beside facts that can be unknown', () => {
    const { platform } = x86Report('ept');
    expect(machineFacts({ arch: 'x86', platform })).toBe('x86, Linux 7.3.4-wcvmm, mmap cookies, Intel with EPT');
    expect(machineFacts({ arch: 'x86', platform: { ...platform, nestedPaging: null, cookies: false } })).toBe(
      'x86, Linux 7.3.4-wcvmm, no mmap cookies, no nested paging',
    );
    expect(deviceFacts({ device: { address: '0000:01:00.0', id: null, source: 'sysfs' } })).toContain('unknown id');
  });
});

describe('compareMachines', () => {
  const comparison = compareMachines(three);

  it("has a side per machine, and marks what can be compared and isn't alike", () => {
    expect(comparison.attributes.map(({ attribute }) => attribute)).toEqual(['device', 'default', 'wc']);
    const [device, , wc] = comparison.attributes;
    expect(device?.machines.map((side) => side?.strictness?.strict ?? null)).toEqual([null, false, true]);
    // What an EPT and an NPT leaf say, and Linux's own mapping on two architectures, are different languages.
    expect(device?.differs).toEqual(['strictness']);
    expect(device?.combinedDiffers).toEqual(['WC']);
    expect(wc).toMatchObject({ differs: [], combinedDiffers: [] });
  });

  it('counts the verdicts of each attribute', () => {
    for (const [index, { report }] of three.entries()) {
      const matches = comparison.attributes.map(({ machines }) => machines[index]?.summary.match ?? 0);
      expect(matches.reduce((a, b) => a + b, 0)).toBe(report.summary.match);
    }
  });

  it('compares checks of one architecture only', () => {
    expect(comparison.differences).toEqual([]);
    expect(comparison.incomparable).toEqual([expect.stringContaining('checks of arm64 and x86')]);
    const { differences, incomparable } = compareMachines(named(arm, other));
    expect(incomparable).toEqual([]);
    expect([...new Set(differences.map(({ probe }) => probe))]).toEqual(['zero-block', 'atomic']);
    const [first] = differences;
    expect(first).toMatchObject({
      attribute: 'device',
      probe: 'zero-block',
      machines: [
        { observed: 'ok', verdict: 'erratum' },
        { observed: 'alignment-fault', verdict: 'match' },
      ],
    });
  });

  it('finds no difference between a machine and itself', () => {
    const { attributes, differences, incomparable } = compareMachines(named(arm, arm));
    expect([differences, incomparable]).toEqual([[], []]);
    for (const row of attributes) expect(row).toMatchObject({ differs: [], combinedDiffers: [] });
  });

  it('says what one of the machines was not asked, and has not', () => {
    const windows = arm.windows.slice(0, 1);
    const checks = arm.checks.filter(({ window, probe }) => window === 0 && probe !== 'fetch');
    const { incomparable, attributes } = compareMachines(named(arm, sampleReport({ windows, checks })));
    expect(incomparable).toEqual(['fetch: not run on arm64 b', 'windows of default, wc: arm64 b has none']);
    expect(attributes[1]?.machines[1]).toBeNull();
  });

  it('takes what was programmed before what was predicted', () => {
    const [device, ...rest] = arm.windows;
    const wrong = sampleReport({
      windows: [
        {
          ...sampleWindow('device', 0, 0x1_0000),
          stage2: { predicted: 'Device-nGnRE', programmed: 'Normal-NC', blockSize: null },
        },
        ...rest,
      ],
    });
    expect(device?.stage2.programmed).toBe('Device-nGnRE');
    expect(compareMachines(named(arm, wrong)).attributes[0]?.differs).toEqual(['stage2']);
  });
});

describe('renderMachines', () => {
  const text = renderMachines(three, plain);

  it('fits 100 columns with three machines, and any width', () => {
    expect(text).toMatch(/^ +A arm64 +B x86 AMD +C x86 Intel$/m);
    expect(widest(text)).toBeLessThanOrEqual(100);
    expect(widest(renderMachines(named(arm, other), plain))).toBeLessThanOrEqual(100);
    for (const columns of [40, 60, 80])
      expect(widest(renderMachines(three, { columns, color: false }))).toBeLessThanOrEqual(columns);
  });

  it('puts machines that do not fit beside the others below them', () => {
    const narrow = renderMachines(three, { columns: 60, color: false });
    expect(narrow.match(/^device$/gm)).toHaveLength(3);
    for (const head of ['A arm64', 'B x86 AMD', 'C x86 Intel'])
      expect(narrow).toContain(`                   ${head}\n`);
  });

  it('says who is strict, and why not', () => {
    expect(text).toMatch(/^≠ strict +not known +no +yes$/m);
    expect(text).toMatch(/^≠ device is not strict on B: a guest that asks for WC gets WC/m);
  });

  it('tells the combined types, and where they are not alike', () => {
    expect(text).toMatch(/^≠ +GRE → nGnRE +WC → WC +WC → UC$/m);
    expect(text).toMatch(/^ {2}effective type +nGnRnE → nGnRnE +UC → UC +UC → UC$/m);
  });

  it('shows how many checks could see the type', () => {
    expect(text).toMatch(/^ {2}type observed +by 12 of 12 checks +by 0 of 0 checks +by 0 of 0 checks$/m);
  });

  it('tells checks with the same answers once', () => {
    const two = renderMachines(named(arm, other), plain);
    expect(two).toMatch(/^≠ device: zero-block under stage 1 Device-nGnRnE, Device-nGnRE, Device-GRE, Normal-NC,/m);
    expect(two).toMatch(
      /^≠ wc, default: |^≠ default, wc: zero-block under stage 1 Device-nGnRnE, Device-nGnRE, Device-GRE$/m,
    );
    expect(two.match(/A: it worked \(erratum\); B: alignment fault \(match\)/g)).toHaveLength(2);
  });

  it('shows what the kernel did not tell as predicted, and what contradicts the model', () => {
    expect(text).toContain('Device-nGnRnE (predicted)');
    const [, ...rest] = arm.windows;
    const wrong = sampleReport({
      windows: [
        {
          ...sampleWindow('device', 0, 0x1_0000),
          stage2: { predicted: 'Device-nGnRE', programmed: 'Normal-NC', blockSize: null },
        },
        ...rest,
      ],
    });
    expect(renderMachines(named(arm, wrong), plain)).toMatch(
      /^≠ stage 2 +Device-nGnRE +Normal-NC ✗ not Device-nGnRE$/m,
    );
  });

  it('puts measurements side by side, and says of which none is of hardware', () => {
    const measured = renderMachines(named(benchReport(), benchReport('an emulator')), plain);
    expect(measured).toMatch(/^ {2}stores +640 MB\/s \(Normal-NC\) +640 MB\/s \(Normal-NC\) not hardware$/m);
    expect(measured).toMatch(/^ {2}stores +25600 MB\/s \(Normal-NC\) /m);
    expect(measured).toMatch(/^ {2}write to visible +1240 ns/m);
    expect(measured).toMatch(/effective type +nGnRnE → nGnRnE/);
    expect(renderMachines(named(arm, benchReport()), plain)).toContain('not measured');
    expect(text).not.toContain('stores');
  });

  it('has no colour unless asked', () => {
    expect(text).not.toContain('\u001B');
    expect(renderMachines(three, { columns: 100, color: true })).toContain('\u001B[33m≠ strict');
  });
});
