import { describe, expect, test } from 'vitest';
import type { Report } from '../tool/report/report.ts';
import { belowHypervisor, insideConfidential, limitsOf } from '../tool/verify/limits.ts';
import type { Unproven } from '../tool/verify/limits.ts';

const ALL_PROVEN: Unproven = {
  source: 'cookie',
  stage2: { kind: 'read', ranges: [] },
  hostMappings: { kind: 'read', windows: [] },
  blindness: null,
  unknowns: [],
};

function said(change: Partial<Unproven>): readonly string[] {
  return limitsOf({ ...ALL_PROVEN, ...change });
}

describe('what is not proven', () => {
  test('is nothing where all is known', () => {
    expect(said({})).toEqual([]);
    for (const source of ['legacy', 'sysfs'] as const) expect(said({ source, coverage: null })).toEqual([]);
  });

  test.each<[Partial<Unproven>, readonly string[]]>([
    [
      { source: 'memory' },
      [
        'no device was used: ordinary memory stood in for a BAR, so nothing is said about how VFIO maps one or what a device sees',
      ],
    ],
    [{ stage2: { kind: 'unavailable', why: 'no debugfs' } }, ['stage 2 was not read back: no debugfs']],
    [{ hostMappings: { kind: 'unavailable', why: 'no root' } }, ["the host's mapping was not read back: no root"]],
    [{ blindness: 'no caches' }, ['no probe observed a memory type: no caches']],
    [{ coverage: '1 of 2 pages' }, ['1 of 2 pages']],
    [{ unknowns: ['one', 'two'] }, ['one', 'two']],
    [
      { stage2: { kind: 'unavailable', why: 'a' }, blindness: 'b', coverage: 'c', unknowns: ['d'] },
      ['stage 2 was not read back: a', 'no probe observed a memory type: b', 'c', 'd'],
    ],
  ])('%j', (change, sentences) => {
    expect(said(change)).toEqual(sentences);
  });
});

function here(hypervisor: boolean | null, emulator: string | null, confidential?: string | null) {
  return {
    ...(hypervisor !== null && { origin: { hypervisor, ...(confidential !== undefined && { confidential }) } }),
    platform: { emulator },
  } as unknown as Pick<Report, 'origin' | 'platform'>;
}

test('a hypervisor below has a say, unless it is an emulator that has a name', () => {
  const sentence =
    'this kernel runs below another hypervisor, whose own second stage has a say in every memory type; nothing of it was read';
  expect(belowHypervisor(here(true, null))).toEqual([sentence]);
  expect(belowHypervisor(here(true, 'qemu-10.0.2'))).toEqual([]);
  expect(belowHypervisor(here(false, null))).toEqual([]);
  expect(belowHypervisor(here(null, null))).toEqual([]);
});

test('a confidential guest has types that hardware forces', () => {
  expect(insideConfidential(here(true, null, 'SEV-SNP'))).toEqual([
    'this kernel runs in a confidential guest (SEV-SNP), where the hardware forces memory types of its own: nothing of that is in the model',
  ]);
  for (const none of [here(true, null, null), here(true, null), here(null, null)])
    expect(insideConfidential(none)).toEqual([]);
});
