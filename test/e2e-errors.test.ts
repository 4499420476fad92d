import { describe, expect, test } from 'vitest';
import { inOneBoot, insideScript } from './support.ts';

const DEVICE = ['-d', '0000:01:00.0'] as const;

const CASES: readonly (readonly [string, readonly string[], string])[] = [
  ['overlapping maps', ['verify', ...DEVICE, '-m', 'bar2:0-64K=wc', '-m', 'bar2:32K-=device'], 'E_MAP_OVERLAP'],
  ['an unaligned map', ['verify', ...DEVICE, '-m', 'bar2:0-5000=wc'], 'E_MAP_ALIGNMENT'],
  ['a map outside of the BAR', ['verify', ...DEVICE, '-m', 'bar2:0-1G=wc'], 'E_MAP_RANGE'],
  ['an unknown attribute', ['verify', ...DEVICE, '-m', 'bar2=fast'], 'E_ATTRIBUTE'],
  ['a cacheable map', ['verify', ...DEVICE, '-m', 'bar2=cacheable'], 'E_CACHEABLE'],
  ['a map that is none', ['verify', ...DEVICE, '-m', 'two'], 'E_MAP_SYNTAX'],
  ['an absent BAR', ['verify', ...DEVICE, '-m', 'bar5=wc'], 'E_MAP_REGION'],
  ['a missing device', ['verify', '-d', '0000:7f:00.0'], 'E_DEVICE_ABSENT'],
  ['no device', ['verify'], 'E_USAGE'],
  ['a device bound to another driver', ['verify', '-d', '0000:04:00.0'], 'E_DEVICE_DRIVER'],
  [
    'a device bound to another driver, by sysfs',
    ['verify', '-d', '0000:04:00.0', '--source', 'sysfs'],
    'E_DEVICE_DRIVER',
  ],
  ['a guest image that is no ELF', ['run', ...DEVICE, '/wcvmm/package.json'], 'E_GUEST_IMAGE'],
  ['a guest image that is missing', ['run', ...DEVICE, '/nowhere'], 'E_GUEST_IMAGE'],
  ['a guest that loops for ever', ['run', ...DEVICE, '--timeout', '1', 'bad-loop.elf'], 'E_GUEST_TIMEOUT'],
  ['a guest with a wrong log', ['verify', ...DEVICE, '--guest', 'bad-magic.elf'], 'E_GUEST_RECORDS'],
  ['a guest with too many records', ['verify', ...DEVICE, '--guest', 'bad-count.elf'], 'E_GUEST_RECORDS'],
  ['a guest with a record of nothing', ['verify', ...DEVICE, '--guest', 'bad-record.elf'], 'E_GUEST_RECORDS'],
  ['a guest that answers nothing', ['verify', ...DEVICE, '--guest', 'bad-silent.elf'], 'E_GUEST_RECORDS'],
  ['a guest with a bad status', ['run', ...DEVICE, 'bad-status.elf'], 'E_GUEST_EXIT'],
  ['a guest that strays', ['run', ...DEVICE, 'bad-stray.elf'], 'E_GUEST_EXIT'],
  ['a command line that is none', ['verify', '--nonsense'], 'unknown option'],
];

/** Copied into the working directory of the commands. */
const BAD_GUESTS = ['loop', 'magic', 'count', 'record', 'silent', 'status', 'stray'].map(
  (name) => `arm64-tests/build/bad-${name}.elf`,
);

describe('what goes wrong is told with a code, and ends with 2', async () => {
  const results = await inOneBoot(
    CASES.map(([, args]) => args),
    { timeout: 300, inputs: BAD_GUESTS },
  );

  test.each(CASES.map(([name, , code], index) => [name, code, index] as const))('%s: %s', (_name, code, index) => {
    const done = results[index];
    expect(done?.stderr).toContain(code);
    expect(done?.code).toBe(2);
    // A sentence for people, not a stack.
    expect(done?.stderr).not.toMatch(/^\s+at /m);
  });
});

test('without an IOMMU the device is refused, and sysfs still works', async () => {
  const [vfio, sysfs] = await inOneBoot(
    [
      ['verify', ...DEVICE],
      ['verify', ...DEVICE, '--source', 'sysfs'],
    ],
    { iommu: false },
  );
  expect(vfio?.stderr).toContain('E_NO_IOMMU');
  expect(vfio?.code).toBe(2);
  expect(sysfs?.code).toBe(0);
});

test('without the right to open the device the user is told what is missing', async () => {
  const { code, stderr } = await insideScript('unprivileged', ['verify', ...DEVICE]);
  expect(stderr).toMatch(/E_PERMISSION: .*\/dev\/vfio/);
  expect(code).toBe(2);
});
