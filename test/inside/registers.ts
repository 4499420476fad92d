/**
 * The built guest is told that its window holds registers: asks each probe that such cells allow, and some that they do not, and
 * prints what came of it and which bytes were stored to, as JSON, for a test to look at.
 */
import { ARCHES, MODELS } from '../../memattr/index.ts';
import type { ProbeName } from '../../memattr/index.ts';
import { AsyncScope } from '../../common/scope.ts';
import { BARE_MAP } from '../../vmm/machines/bare.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { libcPort as port } from '../../vmm/sys/libc.ts';
import { openWindows } from '../../vmm/vfio/open-windows.ts';
import { loadGuest } from '../../tool/verify/guest/image.ts';
import { decodeLog } from '../../tool/verify/guest/records.ts';
import { runGuest } from '../../tool/verify/guest/run.ts';

const LOADS: readonly ProbeName[] = [
  'stage1-self-check',
  'unaligned-load',
  'unaligned-load-simd',
  'unaligned-load-pair',
  'simd-half-aligned',
  'data-read',
];
const FILLER = 0xc3;

const arch = requireArchitecture();
const model = MODELS[ARCHES.find((one) => one === arch.name) ?? 'x86'];
const image = await loadGuest(arch.name);
const scope = new AsyncScope();
const thread = new VcpuThread();
scope.defer(() => thread.close());

/** The outcomes of these probes on a page of FILLER, by name, and how many of its bytes they changed. */
async function ask(probes: readonly ProbeName[], registers: boolean): Promise<{ seen: object; stored: number }> {
  const asked = probes.filter((probe) => model.probes.includes(probe));
  const choice = { source: 'memory', device: null, iommu: 'auto', maps: ['bar2:0-64K=wc'], enforce: false } as const;
  const { windows } = openWindows(port, scope.inner(), BARE_MAP, choice, 65_536n);
  const [window] = windows;
  if (window === undefined) throw new Error('no window');
  const bytes = new Uint8Array(port.view(window.mapping.address, 4096));
  bytes.fill(FILLER);
  const run = await runGuest(port, arch, thread, {
    image,
    windows,
    stage1: [model.stage1Types.at(-1)?.encoding ?? 0],
    cells: asked.map((probe) => ({ window: 0, stage1: 0, probe, offset: 0n, argument: 1n, registers })),
    timeoutMs: 20_000,
  });
  const { records } = decodeLog(run.log, asked.length);
  return {
    seen: Object.fromEntries(asked.map((probe, index) => [probe, records[index]?.outcome])),
    stored: bytes.filter((byte) => byte !== FILLER).length,
  };
}

const others = model.probes.filter((probe) => !LOADS.includes(probe) && !probe.startsWith('unaligned-store'));
const found = {
  loads: await ask(LOADS, true),
  store: await ask(['unaligned-store'], true),
  refused: await ask(
    others.filter((probe) => probe !== 'zero-block'),
    true,
  ),
  memory: await ask(['unaligned-load'], false),
};
await scope.close();
process.stdout.write(`${JSON.stringify(found)}\n`);
