import { groupOf } from './config.ts';

export default groupOf(
  /^(?:vfio-host-mapping|kvm-(?:spte|stage2|x86-host|trapped)|host-(?:probe|x86)|silicon|x86-accesses|killed|guest-run)$/,
);
