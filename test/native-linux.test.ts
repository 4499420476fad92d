import { spawnSync } from 'node:child_process';
import { describe } from 'vitest';
import { testMachines, testTripleFault } from './linux-machine-findings.ts';
import { findings } from './support.ts';
import { whyNoKvm } from './own-kvm.ts';

const why = whyNoKvm();

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
