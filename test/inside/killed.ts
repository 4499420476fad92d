/**
 * A guest loads from a window whose memory the host cannot provide: KVM_RUN fails. Prints how it ended, and the sentence for it,
 * as JSON. On this machine's own KVM, and in testbeds.
 */
import { scoped } from '../../common/scope.ts';
import { describeExit } from '../../tool/verify/guest/exit.ts';
import { traceFault } from '../../tool/verify/read-back/fault-trace.ts';
import { doorbellAt } from '../../vmm/devices/doorbell.ts';
import { newRing } from '../../vmm/devices/console-ring.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { runVcpus } from '../../vmm/kvm/run-vcpus.ts';
import { addVcpu } from '../../vmm/kvm/vcpu.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { createVm } from '../../vmm/kvm/vm.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { addRam, allocateRam } from '../../vmm/memory/ram.ts';
import { MAP_SHARED, PROT_READ, PROT_WRITE, libcPort as port } from '../../vmm/sys/libc.ts';
import { GUESTS } from './machine-code.ts';

const LENGTH = 65_536n;
const WINDOW = 0x8000_0000n;
const AT = WINDOW + 0x2000n;
const arch = requireArchitecture();

/** @param isThere whether memory stands behind the window when the guest loads from it */
const runWith = (isThere: boolean): Promise<object> =>
  scoped(async (ends) => {
    const scope = ends.inner();
    const thread = new VcpuThread();
    ends.defer(() => thread.close());
    const vm = createVm(port, scope);
    const ram = allocateRam(port, scope, [{ gpa: BARE_MAP.ramBase, length: LENGTH }]);
    addRam(vm.slots, ram);
    const fd = port.memfd('window', isThere ? LENGTH : 0n);
    scope.defer(() => port.close(fd));
    const address = port.mmap({
      length: LENGTH,
      protection: PROT_READ | PROT_WRITE,
      flags: MAP_SHARED,
      fd,
      offset: 0n,
    });
    scope.defer(() => port.munmap(address, LENGTH));
    vm.slots.add(WINDOW, { address, length: LENGTH });
    ram.write(BARE_MAP.ramBase, GUESTS.loadAndPrint);
    const vcpu = addVcpu(port, scope, vm);
    arch.initBareVcpu(port, vm, vcpu.fd, { entry: BARE_MAP.ramBase, argument: AT });
    await thread.id();
    const request = {
      vcpus: [{ vcpu, thread }],
      devices: [doorbellAt(Number(BARE_MAP.doorbell), newRing())],
      timeoutMs: 60_000,
    };
    const { exit } = await runVcpus(port, request);
    const again = (): Promise<unknown> => runVcpus(port, request);
    const fault = exit.kind === 'killed' ? await traceFault(port, scope, arch.name, await thread.id(), again) : null;
    const places = [{ gpa: WINDOW, length: LENGTH, kind: 'ram' as const, name: 'the memory in place of a BAR (wc)' }];
    const known = exit.kind === 'killed' ? { ...exit, fault } : exit;
    return { kind: exit.kind, sentence: describeExit(known, { arch: arch.name, places, device: null }) };
  });

const found = { broken: await runWith(false), whole: await runWith(true) };
process.stdout.write(`${JSON.stringify(found)}\n`);
