import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { stubDevice, stubPort } from './stub-port.ts';

/** A kernel with mmap cookies that refuses to map any BAR, with an errno of the test's choice. */
const kernel = vi.hoisted(() => ({ refusal: 'EBUSY' as 'EBUSY' | 'EINVAL' }));

vi.mock('../tool/verify/guest/image.ts', () => ({ loadGuest: () => Promise.resolve({}) }));
vi.mock('../vmm/sys/libc.ts', async (original) => {
  const [REGION_INFO, FEATURE, BIND, ATTACH, IOAS_ALLOC] = [0x3b6c, 0x3b75, 0x3b76, 0x3b77, 0x3b81];
  const device = stubDevice('vfio-pci', '5');
  const { port } = stubPort({
    ...device,
    nodes: { '/dev/vfio/devices/vfio0': 'ok', '/dev/iommu': 'ok' },
    ioctls: {
      [REGION_INFO]: (bytes) => {
        if (typeof bytes === 'number') return;
        const view = new DataView(bytes.buffer);
        view.setUint32(4, 7, true);
        view.setBigUint64(16, 4n << 20n, true);
      },
      [FEATURE]: () => 0,
      [BIND]: () => 0,
      [ATTACH]: () => 0,
      [IOAS_ALLOC]: () => 0,
    },
    get mmap() {
      return kernel.refusal;
    },
  });
  return { ...(await original<object>()), libcPort: port };
});

let said = '';

beforeEach(() => {
  said = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});

async function commandLine(...args: readonly string[]): Promise<{ code: number | string | undefined; said: string }> {
  const { main } = await import('../tool/cli/main.ts');
  await main(args);
  return { code: process.exitCode, said };
}

const VERIFY = ['verify', '-d', '0000:01:00.0', '-m', 'bar2:64K-128K=wc'] as const;

test('a page that has another memory type already is a conflict, not a fault of wcvmm', async () => {
  kernel.refusal = 'EBUSY';
  const done = await commandLine(...VERIFY);
  expect(done.code).toBe(2);
  expect(done.said).toMatch(
    /^wcvmm: E_MAP_CONFLICT: the kernel refused to map bar2:64K\+64K as wc from --source cookie \(EBUSY\)\. .*pat_memtype_list/,
  );
  expect(done.said).not.toContain('report it');
});

test('another refusal says which', async () => {
  kernel.refusal = 'EINVAL';
  const done = await commandLine(...VERIFY);
  expect([done.code, done.said]).toEqual([2, expect.stringMatching(/^wcvmm: E_SYSCALL: .* \(EINVAL\)\. Check that/)]);
});
