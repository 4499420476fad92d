/** What this machine is, from what the kernel says of itself; nothing is concluded from a version. */
import { release } from 'node:os';
import type { ReportPlatform } from '../report/report.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { KvmFacts } from '../../vmm/kvm/arch/arch.ts';
import { emulatorHere } from './emulator.ts';
import { hasMmapCookies } from '../../vmm/vfio/cookie.ts';
import type { VfioDevice } from '../../vmm/vfio/device.ts';

export function reportPlatform(port: Port, facts: KvmFacts, device: VfioDevice | null): ReportPlatform {
  const emulator = emulatorHere(port);
  return {
    kind: emulator === null ? 'native' : 'testbed',
    emulator,
    kernel: release(),
    cookies: device !== null && hasMmapCookies(port, device.fd),
    fwb: facts.fwb,
    ...(facts.fwb !== null && { faultForwarding: facts.faultForwarding }),
    ...(facts.vendor !== null && { vendor: facts.vendor, nestedPaging: facts.nestedPaging }),
    ...(device !== null && { iommu: device.dma.kind !== 'none' }),
  };
}
