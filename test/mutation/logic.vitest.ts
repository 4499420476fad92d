import { groupOf } from './config.ts';

export default groupOf(
  /^(?:memory-.*|plan-.*|vfio-(?:ranges|map-bar|host-mapping)|verify-(?:plan|linux|contents)|guest-(?:exchange|records|keys)|kvm-(?:spte|stage2|x86-host|trapped)|host-(?:probe|mappings)|silicon|x86-accesses|killed)$/,
);
