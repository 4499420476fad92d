import { beforeAll, describe, expect, test } from 'vitest';
import { findings, insideScript } from './support.ts';

const ALL_THREE = 'EFAULT EFAULT EFAULT';

describe.each([
  ['arm64', 'iommufd'],
  ['arm64', 'container'],
  ['x86-amd', 'iommufd'],
  ['x86-amd', 'container'],
])('mmap cookies of the patched kernel on %s, by %s', (arch, iommu) => {
  let found: ReadonlyMap<string, unknown> = new Map();

  beforeAll(async () => {
    const { stdout, stderr } = await insideScript('cookies', [iommu], { arch });
    found = findings(stdout);
    if (found.size < 25) throw new Error(`the script ended early:\n${stdout}\n${stderr}`);
  });

  test.each<[string, unknown]>([
    ['probe', true],
    ['capability lists default, device, wc', 0b111],
    ['asking twice gives the same offset', true],
    ['two attributes have two offsets', true],
    ['neither is the legacy offset', true],
    ['a cookie covers its region', true],
    ['unknown attribute', 'EINVAL'],
    ['cacheable', 'EOPNOTSUPP'],
    ['unknown region', 'EINVAL'],
    ['absent BAR', 'EINVAL'],
    ['region with no mmap', 'EOPNOTSUPP'],
    ["slice over its object's end", 'ENXIO'],
    ["nobody's offset", 'ENXIO'],
    ['legacy offset', 'ok'],
    ['all mappings live, each at its place', true],
    ['a cookie survives reset unchanged', true],
    ["another file's offset", 'ENXIO'],
  ])('%s: %s', (name, expected) => {
    expect(found.get(name)).toBe(expected);
  });

  test('memory-disable ends every live mapping, and enabling brings it back', () => {
    expect(found.get('touch while memory is enabled')).toBe('ok ok ok');
    expect(found.get('touch while memory is disabled')).toBe(ALL_THREE);
    expect(found.get('touch after memory was enabled again')).toBe('ok ok ok');
  });

  test('a reset ends every live mapping, and the next touch brings it back with its data', () => {
    expect(found.get('faults of live mappings')).toBe('none');
    expect(found.get('reset')).toBe('ok');
    expect(found.get('faults after reset')).toBe('every page');
    expect(found.get('touch after reset')).toBe('ok ok ok');
    expect(found.get('data after reset')).toBe(true);
  });
});
