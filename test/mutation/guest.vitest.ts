import { groupOf } from './config.ts';

export default groupOf(
  /^(?:verify-(?:plan|override|fault-forwarding|run-checks|evidence)|guest-(?:exchange|records|keys|run|abi|elf|exit)|kvm-vcpu-loop|killed|linux-log|bench-points)$/,
);
