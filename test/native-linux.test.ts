import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { describe } from 'vitest';
import { hostArchitecture } from '../vmm/kvm/arch/index.ts';
import { testMachines, testTripleFault } from './linux-machine-findings.ts';
import { findings } from './support.ts';

function missing(): string | null {
  if (hostArchitecture() === null) return `no guests for ${process.arch}`;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return null;
  } catch {
    return 'no /dev/kvm that this user may open';
  }
}

const why = missing();

describe.skipIf(why !== null)(
  `machines for Linux on this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`,
  () => {
    const ran =
      why === null ? spawnSync(process.execPath, ['dist/test/inside/linux-machine.js'], { encoding: 'utf8' }) : null;
    const found = findings(ran?.stdout ?? '');
    testMachines(found);
    if (process.arch === 'x64') testTripleFault(found);
  },
);
