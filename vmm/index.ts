/**
 * The library: what a VMM or a CI job of one's own needs. Every function that reaches the kernel takes a `Port`
 * (`libcPort` is the real one) and, where it leaves something open, the `Scope` that closes it.
 */
export { ERROR_CODES, EXIT, WcvmmError } from './errors.ts';
export type { ErrorCode } from './errors.ts';
export { Scope, guarded } from './scope.ts';
export { libcPort, pageSize } from './sys/libc.ts';
export { ERRNO, SysError, isErrno } from './sys/port.ts';
export type { MmapRequest, Port } from './sys/port.ts';

export { ATTRIBUTES, addressIn, formatSize, parseAttribute, parseMap, parseSize, placeWindows, planWindows, reservationSize } from './plan.ts';
export type { MapRequest, Placement, Region, Window } from './plan.ts';

export type { PciBar, PciDevice } from './sys/pci.ts';
export { hasMmapCookies, requestCookie } from './vfio/cookie.ts';
export type { MmapCookie } from './vfio/cookie.ts';
export { enableMemory, findDevice, openVfioDevice } from './vfio/device.ts';
export type { IommuPath, VfioDevice } from './vfio/device.ts';
export { mapPlaced } from './vfio/mapping.ts';
export type { HostMapping, Slice } from './vfio/mapping.ts';
export { openSource } from './vfio/source.ts';
export type { BarSource, SourceRequest } from './vfio/source.ts';
export { openWindows } from './windows.ts';
export type { OpenWindow, OpenWindows, WindowChoice } from './windows.ts';

export { hostArchitecture, requireArchitecture } from './kvm/arch/arch.ts';
export type { GuestArchitecture, KvmFacts } from './kvm/arch/arch.ts';
export { createMachine } from './kvm/machine.ts';
export type { Machine, Memslot } from './kvm/machine.ts';
export { readRange } from './kvm/stage2.ts';
export type { Stage2Dump, Stage2Range, Stage2Reading } from './kvm/stage2.ts';
export { VcpuThread } from './kvm/vcpu.ts';
export { parseElf } from './guest/elf.ts';
export type { GuestImage } from './guest/elf.ts';
export { describeExit } from './guest/exit.ts';
export { loadGuest } from './guest/image.ts';
export { runGuest } from './guest/run.ts';
export type { GuestJob, GuestLife, GuestWindow } from './guest/run.ts';

export { verify } from './verify/verify.ts';
export type { VerifyRequest } from './verify/verify.ts';
export { exitCodeOf } from './report/report.ts';
export type { Check, Report, ReportWindow, Verdict } from './report/report.ts';
export { readReport } from './report/read.ts';
export { formatReport } from './report/json.ts';
export { styleOf } from './report/terminal.ts';
export type { Style } from './report/terminal.ts';
export { renderReport } from './report/text.ts';

export { diagnose } from './doctor/doctor.ts';
export type { Diagnosis } from './doctor/doctor.ts';
export type { Finding, State } from './doctor/finding.ts';
export type { Way } from './doctor/passthrough.ts';
export { planBind, planUnbind } from './devices/bind.ts';
export type { BindOptions, Plan } from './devices/bind.ts';
export { listDevices } from './devices/inventory.ts';
export type { ListedDevice } from './devices/inventory.ts';
export { takeSteps } from './devices/steps.ts';
