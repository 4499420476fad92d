import { groupOf } from './config.ts';

export default groupOf(
  /^(?:memory-.*|plan-(?!commands).*|vfio-(?:ranges|map-bar|host-mapping|device|guest-dma)|verify-(?:plan|override|writes|fault-forwarding)|guest-(?:exchange|records|keys|run|abi|elf)|kvm-(?:spte|stage2|x86-host|trapped|vcpu-loop)|host-probe|silicon|x86-accesses|killed|linux-log|bench-points)$/,
);
