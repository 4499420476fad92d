/** What a verification or a measurement opens or reads by name after its first guest ran: a sandboxed process keeps it open. */
import { FAULT_EVENTS, MEMTYPES, PAGE_TABLES, SPTE_EVENT, TRACE_ROOTS } from './read-back/paths.ts';
import type { Kept } from '../../vmm/sandbox/kept-port.ts';

const EVENTS = [SPTE_EVENT, ...FAULT_EVENTS];

export const KEPT: Kept = {
  devices: ['/dev/kvm', '/dev/cpu/0/msr'],
  files: [
    '/proc/cmdline',
    '/proc/cpuinfo',
    '/proc/version',
    ...['sys_vendor', 'product_name', 'bios_vendor', 'bios_version'].map((name) => `/sys/class/dmi/id/${name}`),
    '/sys/module/kvm_amd/parameters/npt',
    '/sys/module/kvm_intel/parameters/ept',
    PAGE_TABLES,
    MEMTYPES,
  ],
  folders: TRACE_ROOTS.flatMap((root) =>
    [`${root}/instances`].concat(EVENTS.map((event) => `${root}/events/${event}`)),
  ),
};
