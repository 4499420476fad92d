import { describe, expect, test } from 'vitest';
import { inOneBoot } from './support.ts';

const GUEST = '/wcvmm/arm64-tests/build/guest.elf';
const DEVICE = ['-d', '0000:01:00.0'] as const;

describe('run', async () => {
  const [plain, container, shared, memory, json] = await inOneBoot([
    ['run', ...DEVICE, '-m', 'bar2:0-64K=device', '-m', 'bar2:64K-=wc', GUEST],
    ['run', ...DEVICE, '--iommu', 'container', '--memory', '16M', '--dma-device', '0000:01:00.0', GUEST],
    [
      'run',
      ...DEVICE,
      ...['0000:01:00.0', '0000:03:00.0', '0000:02:00.0'].flatMap((address) => ['--dma-device', address]),
      GUEST,
    ],
    ['run', '--source', 'memory', GUEST],
    ['run', ...DEVICE, '--json', '-', GUEST],
  ]);

  test("puts the guest's console on standard output and the windows on standard error", () => {
    expect(plain?.code).toBe(0);
    expect(plain?.stdout).toMatch(/^wcvmm arm64 guest: 0 cells, 2 windows$/m);
    expect(plain?.stderr).toMatch(/^bar2:0\+64K device at gpa 0x100000000: /m);
    expect(plain?.stderr).toMatch(/^bar2:64K\+\S+ wc at gpa /m);
  });

  test('reaches VFIO by group and container too, with more RAM', () => {
    expect(container).toMatchObject({ code: 0 });
  });

  test('lets several devices share the RAM that the first has pinned', () => {
    expect(shared).toMatchObject({ code: 0 });
  });

  test('works on memory, with no device', () => {
    expect(memory).toMatchObject({ code: 0 });
  });

  test('tells what happened as JSON', () => {
    const text = json?.stdout.slice(json.stdout.indexOf('{')) ?? '';
    expect(JSON.parse(text)).toMatchObject({
      schema: 'wcvmm.run/1',
      exit: { kind: 'done', status: 0 },
      windows: [{ bar: 2, attribute: 'device' }, { attribute: 'wc' }, { attribute: 'default' }],
    });
  });
});
