import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { setOneReg } from '../vmm/sys/kvm-arm64.ts';
import type { Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('a buffer whose address the kernel has is not freed before the kernel returns', () => {
  let freed = 0;
  let collecting = false;
  const port: Port = {
    ...stubPort({}).port,
    ioctl: () => {
      if (!collecting) return 0;
      const before = process.memoryUsage().arrayBuffers;
      collect();
      freed = before - process.memoryUsage().arrayBuffers;
      return 0;
    },
  };
  // Only optimised code lets go of a buffer before its function ends.
  for (let call = 0; call < 200_000; call += 1) setOneReg(port, 3, 1n, 5n);
  collect();
  collect();
  collecting = true;
  setOneReg(port, 3, 1n, 5n);
  expect(freed).toBe(0);
});
