import { beforeAll, describe, expect, test } from 'vitest';
import { findings, insideScript } from './support.ts';

/** Of Arm's PL031, from its manual. */
const PL031 = 0x031;

async function foundBy(script: string): Promise<ReadonlyMap<string, unknown>> {
  const { code, stdout, stderr } = await insideScript(script, []);
  if (code !== 0) throw new Error(`the script ended early:\n${stdout}\n${stderr}`);
  return findings(stdout);
}

describe('mmap cookies of a device that is not on PCI', () => {
  let found: ReadonlyMap<string, unknown> = new Map();
  beforeAll(async () => {
    found = await foundBy('platform');
  });

  test.each<[string, unknown]>([
    ['can be mapped', true],
    // The firmware says of no region here that it is prefetchable, so there is no WC.
    ['attributes', 0b011],
    ['legacy offset', PL031],
    ['default', PL031],
    ['device', PL031],
    ['asking twice gives the same offset', true],
    ['wc', 'EOPNOTSUPP'],
    ['cacheable', 'EOPNOTSUPP'],
    ['unknown region', 'EINVAL'],
    ['over the end', 'ENXIO'],
    ["nobody's offset", 'ENXIO'],
    ['private', 'EINVAL'],
  ])('%s', (name, expected) => {
    expect(found.get(name)).toEqual(expected);
  });
});

describe('devices that a driver makes up', () => {
  let found: ReadonlyMap<string, unknown> = new Map();
  beforeAll(async () => {
    found = await foundBy('mdev');
  });

  describe.each(['mdpy', 'mbochs'])('%s', (sample) => {
    test.each<[string, unknown]>([
      ['a slice is the same memory', true],
      ['one page too many', 'ENXIO'],
      ['over the end', 'ENXIO'],
      ['in front of it', 'ENXIO'],
      ['private', 'EINVAL'],
      ['cookie', 'ENOTTY'],
    ])('%s', (name, expected) => {
      expect(found.get(`${sample}: ${name}`)).toEqual(expected);
    });
  });
});
