import { describe, expect, it, test } from 'vitest';
import type { EachFault } from './inside/each-fault.ts';
import { insideScript } from './support.ts';

interface Leaks {
  readonly rounds: number;
  readonly leaks: readonly string[];
  readonly unnoticed: number;
  readonly before: string;
  readonly after: string;
}

const SECOND_DEVICE = '0000:03:00.0';

describe('a life in which each system call fails once', () => {
  test.each([
    [
      'cookies by iommufd, two devices sharing RAM',
      ['0000:01:00.0', 'iommufd', SECOND_DEVICE, 'cookie'],
      'patched',
      'arm64',
    ],
    ['cookies by iommufd on x86', ['0000:01:00.0', 'iommufd', SECOND_DEVICE, 'cookie'], 'patched', 'x86-amd'],
    ['cookies by container', ['0000:01:00.0', 'container', '', 'cookie'], 'patched', 'arm64'],
    ['legacy offsets on a stock kernel', ['0000:01:00.0', 'iommufd', SECOND_DEVICE, 'legacy'], 'stock', 'arm64'],
  ] as const)('%s: leaks no file, mapping, memslot or trace', async (_name, args, kernel, arch) => {
    const { stdout, stderr } = await insideScript('leaks', args, { kernel, arch });
    const line = stdout.split('\n').find((text) => text.startsWith('{'));
    if (line === undefined) throw new Error(`the script ended early:\n${stdout}\n${stderr}`);
    const { rounds, leaks, unnoticed, before, after } = JSON.parse(line) as Leaks;
    expect(leaks).toEqual([]);
    expect(unnoticed).toBe(0);
    expect(after).toBe(before);
    expect(rounds).toBeGreaterThan(30);
  });
});

it('of a device too: doctor, run, bind and unbind name the call that failed, and leave nothing', async () => {
  const commands = ['doctor', 'run', 'bind'];
  const { stdout, stderr } = await insideScript('faults', ['--once', '--device', '0000:01:00.0', ...commands]);
  const found = stdout.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as EachFault] : []));
  if (found.length !== commands.length) throw new Error(`the script ended early:\n${stdout}\n${stderr}`);
  for (const { wrong, steps, faults } of found) {
    expect(wrong).toEqual([]);
    expect(faults).toBe(steps);
    expect(steps).toBeGreaterThan(20);
  }
});
