/** A bare guest of one's own on any machine with KVM, with plain memory in a BAR's place: node run-guest.js guest.elf */
import {
  Scope,
  VcpuThread,
  describeExit,
  libcPort,
  loadGuest,
  openWindows,
  pageSize,
  requireArchitecture,
  runGuest,
} from 'wcvmm';

const arch = requireArchitecture();
const image = await loadGuest(arch.name, process.argv[2]);
const scope = new Scope();
const thread = new VcpuThread();
try {
  const choice = {
    source: 'memory',
    device: null,
    iommu: 'auto',
    maps: ['bar2:0-2M=default'],
    enforce: false,
  } as const;
  const { windows } = openWindows(libcPort, scope, arch, choice, BigInt(pageSize()));
  const { exit } = await runGuest(libcPort, arch, thread, {
    image,
    windows,
    stage1: [],
    cells: [],
    timeoutMs: 10_000,
    onConsole: (text) => process.stdout.write(text),
  });
  console.log(describeExit(exit) ?? 'the guest ended well');
} finally {
  await thread.close();
  scope.close();
}
