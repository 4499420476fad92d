/** Machines for Linux with kernels of a few instructions, on arm64's KVM and on x86's, without devices and with two. */
import { describe } from 'vitest';
import { testMachines, testMachinesWithDevices, testTripleFault } from './linux-machine-findings.ts';
import { findings, insideScript } from './support.ts';

// An instance of two CPUs sometimes hangs with a guest on both of them (docs/usage.md).
describe.each([
  { arch: 'arm64', processors: undefined, iommus: ['iommufd', 'container'] },
  { arch: 'x86-amd', processors: 1, iommus: ['iommufd'] },
] as const)('machines for Linux in the $arch testbed', async ({ arch, processors, iommus }) => {
  const request = [iommus.join(), '0000:01:00.0', '0000:03:00.0'];
  const ran = await insideScript('linux-machine', request, { arch, processors, timeout: 500 });
  const found = findings(ran.stdout);
  testMachines(found);
  testMachinesWithDevices(found, iommus);
  if (arch === 'x86-amd') testTripleFault(found);
});
