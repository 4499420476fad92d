/** What takes the interrupts of a Linux guest, as the machine's KVM has it: asked of VMs that never run. */
import { Scope } from '../../../common/scope.ts';
import { WcvmmError } from '../../../common/errors.ts';
import { createVm } from '../../../vmm/kvm/vm.ts';
import { attempt } from '../../../vmm/sys/attempt.ts';
import { checkExtension } from '../../../vmm/sys/kvm.ts';
import { KVM_DEVICE_TYPE, KVM_IRQ_CAP, createIrqchip, createKvmDevice } from '../../../vmm/sys/kvm-irq.ts';
import { SysError } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { missing, ok, unknown } from './finding.ts';
import type { Finding } from './finding.ts';

const ID = 'irqchip';

function inVm(port: Port, look: (vm: number, scope: Scope) => Finding): Finding {
  const scope = new Scope();
  try {
    return look(createVm(port, scope).vm, scope);
  } catch (error) {
    if (!(error instanceof WcvmmError) && !(error instanceof SysError)) throw error;
    return unknown(ID, 'no VM can be created to ask for interrupt controllers', null);
  } finally {
    scope.close();
  }
}

export function arm64Irqchip(port: Port): Finding {
  return inVm(port, (vm, scope) => {
    const lacking = (['gicV3', 'gicIts'] as const).filter((type) => {
      const device = attempt(() => createKvmDevice(port, vm, KVM_DEVICE_TYPE[type]));
      if (device !== null) scope.defer(() => port.close(device));
      return device === null;
    });
    if (lacking.length === 0) return ok(ID, 'GICv3 and ITS, for Linux guests');
    const names = lacking.map((type) => ({ gicV3: 'GICv3', gicIts: 'ITS' })[type]).join(' and no ');
    return missing(ID, `no ${names} for guests`, 'Linux guests take a host with a GICv3 or newer', false);
  });
}

/** wcvmm has an IOAPIC of its own, which works with every kernel: KVM's is an option of the kernel's (CONFIG_KVM_IOAPIC). */
export function x86Irqchip(port: Port): Finding {
  return inVm(port, (vm) => {
    const isSplit = checkExtension(port, vm, KVM_IRQ_CAP.splitIrqchip) > 0;
    const hasOwn = attempt(() => createIrqchip(port, vm)) !== null;
    const own = hasOwn ? "KVM has an IOAPIC too, which they don't use" : 'KVM has no IOAPIC of its own';
    if (isSplit) return ok(ID, `split, for Linux guests: KVM's local APICs and wcvmm's IOAPIC; ${own}`);
    return missing(
      ID,
      `KVM has no split irqchip (KVM_CAP_SPLIT_IRQCHIP); ${own}`,
      'Linux guests take a kernel with it: 4.4 or newer',
      false,
    );
  });
}
