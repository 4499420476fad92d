/**
 * A guest that does not do what its probes say is found out by what it answers, and judged so. (That an instruction is missing shows in
 * no answer: guest-instructions.test.ts looks for it in the built guest.)
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { Scope } from '../common/scope.ts';
import type { ProbeName } from '../memattr/index.ts';
import type { Check } from '../tool/report/report.ts';
import { VERIFY_ARCHITECTURES } from '../tool/verify/arch/index.ts';
import { checkOf } from '../tool/verify/evidence.ts';
import { exchangeModule } from '../tool/verify/guest/exchange.ts';
import { loadGuest } from '../tool/verify/guest/image.ts';
import { planChecks } from '../tool/verify/plan.ts';
import { runChecks } from '../tool/verify/run-checks.ts';
import { requireArchitecture } from '../vmm/kvm/arch/index.ts';
import { kvmFacts } from '../vmm/kvm/facts.ts';
import { MainThreadRunner } from '../vmm/kvm/main-thread-runner.ts';
import { BARE_MAP } from '../vmm/machines/bare.ts';
import { libcPort, pageSize } from '../vmm/sys/libc.ts';
import { openWindows } from '../vmm/vfio/open-windows.ts';
import { whyNoKvm } from './own-kvm.ts';

interface Mutant {
  readonly probe: ProbeName;
  readonly what: string;
  /** Below the project's folder. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const COMMON: readonly Mutant[] = [
  {
    probe: 'data-write',
    what: 'stores all words but the last',
    file: 'guest-common/probes/data-write.c',
    from: 'i < WORDS',
    to: 'i < WORDS - 1',
  },
  {
    probe: 'data-read',
    what: 'looks for the data of another seed',
    file: 'guest-common/probes/data-read.c',
    from: 'wcvmm_pattern(probe->argument',
    to: 'wcvmm_pattern(probe->argument + 1',
  },
  {
    probe: 'unaligned-load',
    what: 'loads from where it is aligned',
    file: 'guest-common/probes/unaligned-load.c',
    from: 'probe->address + 1',
    to: 'probe->address',
  },
  {
    probe: 'unaligned-store',
    what: 'stores where it is aligned',
    file: 'guest-common/probes/unaligned-store.c',
    from: 'probe->address + 1',
    to: 'probe->address',
  },
];

const X86: readonly Mutant[] = [
  {
    probe: 'nt-store',
    what: 'stores all words but the last',
    file: 'x86-tests/probes/nt-store.c',
    from: 'i < LINE_WORDS',
    to: 'i < LINE_WORDS - 1',
  },
  {
    probe: 'fence-visibility',
    what: 'stores all words but the last',
    file: 'x86-tests/probes/fence-visibility.c',
    from: 'i < WORDS',
    to: 'i < WORDS - 1',
  },
  {
    probe: 'cache-flush',
    what: 'stores nothing',
    file: 'x86-tests/probes/cache-flush.c',
    from: 'line_write(probe)',
    to: '(void)0',
  },
  {
    probe: 'stage1-self-check',
    what: 'maps every window alike',
    file: 'x86-tests/runtime/window.c',
    from: 'pat_bits(PAT_WINDOW + each)',
    to: 'pat_bits(PAT_WINDOW)',
  },
];

const why = whyNoKvm();
const arch = why === null ? requireArchitecture() : null;
const mutants = arch?.name === 'x86' ? [...COMMON, ...X86] : COMMON;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wcvmm-test-'));
  for (const part of ['x86-tests', 'arm64-tests', 'guest-common', 'tool/verify/guest/abi.h'])
    await cp(join(projectRoot, part), join(folder, part), {
      recursive: true,
      filter: (path) => !path.endsWith('/build'),
    });
});
afterAll(() => rm(folder, { recursive: true }));

/** The checks of one probe, made by the guest as it is in `folder`, on ordinary memory. */
async function checksOf(probe: ProbeName): Promise<readonly Check[]> {
  if (arch === null) throw new Error('no KVM');
  const guest = `${arch.name}-tests`;
  await promisify(execFile)('make', ['-s', '-C', join(folder, guest), 'build/guest.elf']);
  const image = await loadGuest(arch.name, join(folder, guest, 'build/guest.elf'));
  const scope = new Scope();
  try {
    const choice = {
      source: 'memory',
      device: null,
      iommu: 'auto',
      maps: ['bar2:0-64K=default'],
      enforce: false,
    } as const;
    const { windows } = openWindows(libcPort, scope, BARE_MAP, choice, BigInt(pageSize()));
    const { model, controlPlatform } = VERIFY_ARCHITECTURES[arch.name];
    const platform = { ...controlPlatform(kvmFacts(libcPort, arch)), mte: false };
    const planned = planChecks(model, platform, 'memory', windows).filter((check) => check.probe === probe);
    const thread = new MainThreadRunner([exchangeModule]);
    const { observed } = await runChecks({ port: libcPort, arch, thread, image, windows, timeoutMs: 60_000 }, planned);
    const facts = { model, platform, ticksPerSecond: null, emulator: null };
    return observed.map((one) => checkOf(facts, one, null));
  } finally {
    scope.close();
  }
}

function isMismatch({ verdict }: Check): boolean {
  return verdict === 'mismatch';
}

describe.skipIf(why !== null)(`on this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`, () => {
  test('the guest as it is contradicts nothing', async () => {
    for (const probe of new Set(mutants.map((mutant) => mutant.probe)))
      expect([probe, (await checksOf(probe)).filter(isMismatch)]).toEqual([probe, []]);
  });

  test.each(mutants)('a guest whose $probe $what is found out', async ({ probe, file, from, to }) => {
    const path = join(folder, file);
    const source = await readFile(path, 'utf8');
    expect(source).toContain(from);
    await writeFile(path, source.replace(from, to));
    try {
      const checks = await checksOf(probe);
      const wrong = checks.filter(isMismatch);
      // Of a guest that maps all alike, the type that it maps is right.
      expect(wrong.length).toBeGreaterThanOrEqual(checks.length - 1);
      expect(wrong.length).toBeGreaterThan(0);
    } finally {
      await writeFile(path, source);
    }
  });
});
