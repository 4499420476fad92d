import { describe, expect, test } from 'vitest';
import { findings, insideScript } from './support.ts';

describe.each(['arm64', 'x86-amd'])('interrupted on %s', async (arch) => {
  const { stdout, stderr } = await insideScript('interrupted', ['0000:04:00.0', '0000:01:00.0'], {
    arch,
    timeout: 300,
  });
  const found = findings(stdout);

  test.each([1, 2, 3, 4])(
    "bind, at write %i: the kernel's driver has the device again, and nothing is left",
    (write) => {
      expect(found.get(`bind ${write}`)).toBe('E_INTERRUPTED nvme (null) 0');
    },
  );

  test('verify: no VM, no trace, no report, and the device can be opened again', () => {
    expect(stderr).toContain('wcvmm: E_INTERRUPTED: ');
    expect(found.get('verify')).toBe('2 0 0 0');
    expect(found.get('verify again')).toBe(0);
  });
});
