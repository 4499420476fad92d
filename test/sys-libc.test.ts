import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { libcPort } from '../vmm/sys/libc.ts';
import { SysError } from '../vmm/sys/port.ts';

const folder = mkdtempSync(join(tmpdir(), 'wcvmm-libc-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a link that is not there is null, and one that cannot be read is refused', () => {
  const link = join(folder, 'link');
  const file = join(folder, 'file');
  symlinkSync('../drivers/nvme', link);
  writeFileSync(file, '');
  expect([libcPort.linkTarget(link), libcPort.linkName(link)]).toEqual(['../drivers/nvme', 'nvme']);
  expect([join(folder, 'none'), file, `${file}/below`].map(libcPort.linkTarget)).toEqual([null, null, null]);
  // Any refusal that does not say "no link"; root is denied none for its rights.
  const refused = (): unknown => libcPort.linkName(join(folder, 'x'.repeat(300)));
  expect(refused).toThrow(SysError);
  expect(refused).toThrow(/readlink/);
});
