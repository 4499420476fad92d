import { groupOf } from './config.ts';

export default groupOf(/^(?:kvm-(?!spte|stage2).*|cpuid-x86|killed|guest-run|verify-fault-forwarding)$/);
