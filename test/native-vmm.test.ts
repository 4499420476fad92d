import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { whyNoKvm } from './own-kvm.ts';
import { insideScript } from './support.ts';

const why = whyNoKvm();

/** What test/inside/vmm.ts prints, wherever it runs. */
const EXPECTED = {
  twoVcpus: { text: 'AB', exit: { kind: 'done', status: 7 } },
  goesOn: { exit: { kind: 'done', status: 0 }, grew: true },
  slots: {
    far: 'done f',
    first: 'done w',
    second: 'unmapped ',
    moved: 'done w',
    left: 'unmapped ',
    gone: 'unmapped ',
    again: 'done w',
    sameSlot: true,
  },
  flood: { code: 'E_INTERRUPTED', taken: true, written: 65_536, room: 65_536 },
  goesOnHere: { exit: { kind: 'done', status: 0 }, grew: true },
  floodHere: { code: 'E_INTERRUPTED', hasPaused: true, hasWaited: true, fits: true },
  endsHere: ['E_GUEST_TIMEOUT', 'E_VCPU'],
  brokenDevices: [
    ['E_VCPU', 'E_VCPU'],
    ['E_VCPU', 'E_VCPU'],
  ],
};

describe('several vCPUs, interrupted ones that go on, memslots that move, devices that fail', () => {
  test.skipIf(why !== null)(`on this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`, () => {
    const { stdout, stderr } = spawnSync(process.execPath, ['dist/test/inside/vmm.js'], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual(EXPECTED);
  });

  test.each(['arm64', 'x86-amd'] as const)('in an emulated %s instance', async (arch) => {
    const { stdout } = await insideScript('vmm', [], { arch });
    const line = stdout.split('\n').find((text) => text.startsWith('{')) ?? '{}';
    expect(JSON.parse(line)).toEqual(EXPECTED);
  });
});
