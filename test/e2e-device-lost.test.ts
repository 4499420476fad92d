import { expect, it } from 'vitest';
import { insideScript } from './support.ts';

it.each(['arm64', 'x86-amd'] as const)('a device that goes away under a guest ends no process: %s', async (arch) => {
  const { stdout, stderr } = await insideScript('device-lost', ['0000:01:00.0'], { arch });
  const line = stdout.split('\n').find((text) => text.startsWith('{'));
  expect(stderr).toBe('');
  expect(JSON.parse(line ?? '{}')).toEqual({
    before: ['done', 'done'],
    'reset by another': ['done', 'done'],
    // The kernel waits for the VMM to give the device back.
    unbinding: ['done', 'done'],
    // By then zeroed memory stands where the mapping was, so the last finds an answer.
    'switched off': ['killed', 'E_DEVICE_LOST', 'answered'],
    // The VMM hears that it is wanted back, stops the guest, and nobody has it.
    'unbound under a guest': ['E_DEVICE_LOST', null],
    // KVM_RUN says EFAULT alone: where it was is what KVM's tracepoint says.
    where: { offset: 0, access: 'read', isAlignment: false, inGuest: true },
  });
});
