import { describe, expect, test } from 'vitest';
import { scoped } from '../common/scope.ts';
import { createVm } from '../vmm/kvm/vm.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

/** A KVM whose KVM_CREATE_VM fails so, one after the other, and then makes a VM. */
function create(failures: readonly ErrnoName[]): Promise<number> {
  const waiting = [...failures];
  const { port } = stubPort({
    nodes: { '/dev/kvm': 'ok' },
    ioctls: {
      0xae00: () => 12,
      0xae03: () => 0,
      0xae01: () => {
        const failure = waiting.shift();
        if (failure !== undefined) throw new SysError('ioctl', ERRNO[failure]);
        return 50;
      },
    },
  });
  return scoped((ends) => Promise.resolve(createVm(port, ends.inner()).vm));
}

describe('a VM', () => {
  test('is made though signals come meanwhile', async () => {
    expect(await create(['EINTR', 'EINTR'])).toBe(50);
  });

  test('is not asked for again where KVM refuses it', async () => {
    await expect(create(['ENOMEM'])).rejects.toMatchObject({ errno: ERRNO.ENOMEM });
  });
});
