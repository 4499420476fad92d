/**
 * The library: what a VMM or a CI job of one's own needs. Every function that reaches the kernel takes a `Port`
 * (`libcPort` is the real one) and, where it leaves something open, the `Scope` that closes it.
 */
export { ERROR_CODES, EXIT, WcvmmError } from '../common/errors.ts';
export type { ErrorCode } from '../common/errors.ts';
export { Scope, guarded } from '../common/scope.ts';
export { libcPort, pageSize } from './sys/libc.ts';
export { ERRNO, SysError, isErrno } from './sys/port.ts';
export type { MmapRequest, Port } from './sys/port.ts';

export { ATTRIBUTES } from '../memattr/model.ts';
export {
  addressIn,
  formatSize,
  parseAttribute,
  parseMap,
  parseSize,
  placeWindows,
  planWindows,
  reservationSize,
} from './memory/index.ts';
export type { MapRequest, Placement, Region, Window } from './memory/index.ts';

export type { PciBar, PciDevice } from './sys/pci.ts';
export { hasMmapCookies, requestCookie } from './vfio/cookie.ts';
export type { MmapCookie } from './vfio/cookie.ts';
export { enableMemory, findDevice, openVfioDevice } from './vfio/device.ts';
export type { IommuPath, VfioDevice } from './vfio/device.ts';
export { mapPlaced } from './memory/mapping.ts';
export type { HostMapping, Slice } from './memory/mapping.ts';
export { openSource } from './vfio/source.ts';
export type { BarSource, SourceRequest } from './vfio/source.ts';
export { openWindows } from './vfio/open-windows.ts';
export type { OpenWindow, OpenWindows, WindowChoice } from './vfio/open-windows.ts';

export { hostArchitecture, requireArchitecture } from './kvm/arch/arch.ts';
export type { GuestArchitecture, KvmFacts } from './kvm/arch/arch.ts';
export { createMachine } from './kvm/vm.ts';
export type { Machine, Memslot } from './kvm/vm.ts';
export { readRange } from '../tool/verify/read-back/stage2.ts';
export type { Stage2Dump, Stage2Range, Stage2Reading } from '../tool/verify/read-back/stage2.ts';
export { VcpuThread } from './kvm/vcpu.ts';
export { parseElf } from './boot/elf.ts';
export type { GuestImage } from './boot/elf.ts';
export { describeExit } from '../tool/verify/guest/exit.ts';
export { loadGuest } from '../tool/verify/guest/image.ts';
export { runGuest } from '../tool/verify/guest/run.ts';
export type { GuestJob, GuestLife, GuestWindow } from '../tool/verify/guest/run.ts';

export { verify } from '../tool/verify/verify.ts';
export type { VerifyRequest } from '../tool/verify/verify.ts';
export { exitCodeOf } from '../tool/report/report.ts';
export type { Check, Report, ReportWindow, Verdict } from '../tool/report/report.ts';
export { readReport } from '../tool/report/read.ts';
export { formatReport } from '../tool/report/json.ts';
export { styleOf } from '../common/terminal.ts';
export type { Style } from '../common/terminal.ts';
export { renderReport } from '../tool/report/text.ts';

export { diagnose } from '../tool/host/doctor/doctor.ts';
export type { Diagnosis } from '../tool/host/doctor/doctor.ts';
export type { Finding, State } from '../tool/host/doctor/finding.ts';
export type { Way } from '../tool/host/doctor/passthrough.ts';
export { planBind, planUnbind } from '../tool/host/devices/bind.ts';
export type { BindOptions, Plan } from '../tool/host/devices/bind.ts';
export { listDevices } from '../tool/host/devices/inventory.ts';
export type { ListedDevice } from '../tool/host/devices/inventory.ts';
export { takeSteps } from '../tool/host/devices/steps.ts';
