/** A refusal is known as one wherever it comes from. */
import { expect, test } from 'vitest';
import { ERRNO, SysError, isErrno } from '../vmm/sys/port.ts';

test('of a copy of the class, as in the bundle of a vCPU thread that a device module does not share, it is one', async () => {
  const copy = (await import(
    `${new URL('../vmm/sys/port.ts', import.meta.url).href}?copy`
  )) as typeof import('../vmm/sys/port.ts');
  expect(copy.SysError).not.toBe(SysError);
  const error = new copy.SysError('read', ERRNO.EAGAIN);
  expect([error instanceof SysError, isErrno(error, 'EAGAIN'), isErrno(error, 'EINVAL')]).toEqual([true, true, false]);
});

test('of another error it is none', () => {
  const look = Object.assign(new Error('read: EAGAIN'), { errno: ERRNO.EAGAIN });
  expect([look instanceof SysError, isErrno(look, 'EAGAIN'), isErrno(null, 'EAGAIN')]).toEqual([false, false, false]);
});
