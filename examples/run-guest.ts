/** A bare guest of one's own on any machine with KVM: node run-guest.js guest.elf */
import { readFileSync } from 'node:fs';
import { BARE_MAP, VcpuThread, parseElf, requireArchitecture, runBare } from 'wcvmm/kvm';

const ramLength = 4n << 20n;
const bytes = readFileSync(process.argv[2] ?? 'guest.elf');
const image = parseElf(bytes, requireArchitecture().name, { gpa: BARE_MAP.ramBase, length: ramLength });
const thread = new VcpuThread();
const onConsole = (output: Uint8Array): void => void process.stdout.write(output);
try {
  const { exit } = await runBare({ thread, image, ramLength, windows: [], timeoutMs: 10_000, onConsole });
  console.log(exit.kind === 'done' ? `the guest ended with status ${exit.status}` : exit);
} finally {
  await thread.close();
}
