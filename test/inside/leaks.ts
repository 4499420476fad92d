/**
 * Runs inside a testbed. One whole life (device, cookies, mappings, RAM for DMA, VM, memslots, vCPU) again and again; in the
 * n-th round the n-th system call fails. Whatever fails, nothing may be held afterwards, by our account and by the
 * process's own (/proc/self). Prints one line of JSON.
 */
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { createVm } from '../../vmm/kvm/vm.ts';
import { addVcpu } from '../../vmm/kvm/vcpu.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { addRam, allocateRam } from '../../vmm/memory/ram.ts';
import { watchStage2 } from '../../tool/verify/read-back/watch.ts';
import { Scope } from '../../common/scope.ts';
import { libcPort, threadId } from '../../vmm/sys/libc.ts';
import { ERRNO } from '../../vmm/sys/port.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { IommuPath } from '../../vmm/vfio/device.ts';
import { attachForDma, ramForDevices } from '../../vmm/vfio/share.ts';
import { openWindows } from '../../vmm/vfio/open-windows.ts';
import { FaultyPort } from './faulty-port.ts';
import { processHas } from './process-has.ts';

const arch = requireArchitecture();
const device = process.argv[2] ?? '0000:01:00.0';
const iommu: IommuPath = process.argv[3] === 'container' ? 'container' : 'iommufd';
const more = iommu === 'iommufd' && process.argv[4] !== undefined ? [process.argv[4]] : [];
const source = process.argv[5] === 'legacy' ? 'legacy' : 'cookie';

/** What cannot be read back is reported as unread; that ends no life. */
let readingBack = false;

async function life(port: Port): Promise<void> {
  readingBack = false;
  const scope = new Scope();
  try {
    const choice = { source, device, iommu, maps: [], enforce: false } as const;
    const { source: opened, windows } = openWindows(port, scope, BARE_MAP, choice, 4096n);
    const devices = attachForDma(port, scope, opened.device, [device, ...more]);
    const ranges = [
      { gpa: BARE_MAP.ramBase, length: 4n << 20n },
      { gpa: 2n * BARE_MAP.ramBase, length: 4n << 20n },
    ];
    const ram = allocateRam(port, scope, ranges);
    for (const { gpa, mapping } of ram.regions) ramForDevices(port, devices, mapping, gpa);
    const vm = createVm(port, scope);
    arch.enableExits(port, vm);
    addRam(vm.slots, ram);
    for (const { gpa, mapping } of windows) {
      const slot = vm.slots.add(gpa, mapping);
      slot.move(gpa + (1n << 36n));
      slot.remove();
      vm.slots.add(gpa, mapping);
    }
    for (const id of [0, 1]) {
      const vcpu = addVcpu(port, scope, vm, id);
      arch.initBareVcpu(port, vm, vcpu.fd, { entry: BARE_MAP.ramBase, argument: 0n });
    }
    readingBack = true;
    const watch = await watchStage2(arch.name, port, scope, { debugName: vm.debugName, vcpuThread: threadId() });
    watch.read();
  } finally {
    scope.close();
  }
}

await life(libcPort);
const before = processHas().join('\n');
const leaks: string[] = [];
let round = 0;
let unnoticed = 0;
for (;;) {
  round += 1;
  const faulty = new FaultyPort(libcPort, round, ERRNO.ENOMEM);
  try {
    await life(faulty.port);
    if (faulty.failed !== null && !readingBack) unnoticed += 1;
  } catch {
    // That it fails is the point; what it leaves behind is the question.
  }
  const held = faulty.held();
  const left = [...held.fds, ...held.mappings, ...held.memslots];
  if (left.length > 0) leaks.push(`call ${round} (${faulty.failed}): ${left.join(', ')}`);
  if (faulty.failed === null) break;
}
const after = processHas().join('\n');
process.stdout.write(
  `${JSON.stringify({ rounds: round - 1, leaks, unnoticed, same: before === after, before, after })}\n`,
);
