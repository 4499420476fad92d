/** Where the kernel shows what it programmed. Apart from those who read it, so that a process can keep these open without loading them. */

/** x86: this process's own page tables; the current_user beside it exists with page table isolation only, and is a part of it. */
export const PAGE_TABLES = '/sys/kernel/debug/page_tables/current_kernel';
/** x86: the memory types that were reserved. */
export const MEMTYPES = '/sys/kernel/debug/x86/pat_memtype_list';
/** x86: the tracepoint of KVM's own entries, as tracefs has it. */
export const SPTE_EVENT = 'kvmmmu/kvm_mmu_set_spte';
export const TRACE_ROOTS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/** The same of accesses that stage 2 stops: x86's, and arm64's. */
export const FAULT_EVENTS = ['kvm/kvm_page_fault', 'kvm/kvm_guest_fault'];
