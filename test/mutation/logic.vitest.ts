import { groupOf } from './config.ts';

export default groupOf(
  /^(?:memory-.*|plan-.*|vfio-(?:ranges|map-bar|host-mapping|device|guest-dma)|verify-(?:plan|override|linux|contents|writes|fault-forwarding)|guest-(?:exchange|records|keys|run|abi|elf)|kvm-(?:spte|stage2|x86-host|trapped|vcpu-loop)|host-(?:probe|mappings|inspect)|silicon|x86-accesses|killed|linux-log|bench-points)$/,
);
