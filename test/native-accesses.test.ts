/** What is sampled runs alone, and between the start and the stop of its recording (the records are made up here). */
import { expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { VERIFY_ARCHITECTURES } from '../tool/verify/arch/index.ts';
import { exchangeModule } from '../tool/verify/guest/exchange.ts';
import { loadGuest } from '../tool/verify/guest/image.ts';
import { isSampled, planChecks } from '../tool/verify/plan.ts';
import { runChecks } from '../tool/verify/run-checks.ts';
import { requireArchitecture } from '../vmm/kvm/arch/index.ts';
import { kvmFacts } from '../vmm/kvm/facts.ts';
import { MainThreadRunner } from '../vmm/kvm/main-thread-runner.ts';
import { BARE_MAP } from '../vmm/machines/bare.ts';
import { libcPort, pageSize } from '../vmm/sys/libc.ts';
import { openWindows } from '../vmm/vfio/open-windows.ts';
import { whyNoKvm } from './own-kvm.ts';

const why = whyNoKvm();
const maps = ['bar2:0-64K=default', 'bar2:64K-128K=wc'];
const PROBES: ReadonlySet<string> = new Set(['unaligned-load', 'store-bandwidth', 'load-latency']);

test.skipIf(why !== null)(`on this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`, async () => {
  const arch = requireArchitecture();
  const scope = new Scope();
  const said: string[] = [];
  const recorder = {
    start: () => void said.push('start'),
    stop: (window: number) => {
      said.push(`stop ${window}`);
      return window === 0 ? { combining: said.length, uncached: 0 } : null;
    },
  };
  try {
    const choice = { source: 'memory', device: null, iommu: 'auto', maps, enforce: false } as const;
    const { windows } = openWindows(libcPort, scope, BARE_MAP, choice, BigInt(pageSize()));
    const { model, controlPlatform } = VERIFY_ARCHITECTURES[arch.name];
    const platform = { ...controlPlatform(kvmFacts(libcPort, arch)), mte: false };
    const [type] = model.stage1Types;
    if (type === undefined) throw new Error('no type');
    const planned = planChecks(model, platform, 'memory', windows, [type]).filter(({ probe }) => PROBES.has(probe));
    const setup = { port: libcPort, arch, image: await loadGuest(arch.name), windows, timeoutMs: 60_000 };
    const thread = new MainThreadRunner([exchangeModule]);
    const { observed } = await runChecks({ ...setup, thread, recorder }, planned);
    expect(observed.map(({ check, accesses }) => [check.probe, check.window, accesses ?? null])).toEqual([
      ['unaligned-load', 0, null],
      ['unaligned-load', 1, null],
      ['store-bandwidth', 0, { combining: 2, uncached: 0 }],
      ['load-latency', 0, { combining: 4, uncached: 0 }],
      ['store-bandwidth', 1, null],
      ['load-latency', 1, null],
    ]);
    expect(said).toEqual(['start', 'stop 0', 'start', 'stop 0', 'start', 'stop 1', 'start', 'stop 1']);
    expect(
      observed.every(({ observation }) => observation.kind === 'record' && observation.record.outcome === 'ok'),
    ).toBe(true);
    const plain = await runChecks({ ...setup, thread: new MainThreadRunner([exchangeModule]) }, planned);
    expect(plain.observed.map(({ check }) => check)).toEqual(planned);
    expect(plain.observed.filter(({ check }) => isSampled(check)).every(({ accesses }) => accesses === null)).toBe(
      true,
    );
  } finally {
    scope.close();
  }
});
