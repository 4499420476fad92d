/**
 * What a probe is named after is in the guest. No outcome shows that: CLFLUSH, SFENCE, MOVNTI or LOCK left out, what was stored still
 * comes back. So the built guest is disassembled, and mutants without the instruction must be found that way.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import type { Arch, ProbeName } from '../memattr/index.ts';
import { x86 } from '../memattr/index.ts';

const run = promisify(execFile);

/** In the order in which they stand in the probe's function. */
const INSTRUCTIONS: Readonly<Record<Arch, Readonly<Partial<Record<ProbeName, readonly RegExp[]>>>>> = {
  x86: {
    atomic: [/^lock add /],
    'nt-store': [/^movnti /, /^sfence/],
    'nt-load': [/^mfence/, /^movntdqa /],
    'direct-store': [/^movdir64b /, /^sfence/],
    'cache-flush': [/^clflush /, /^mfence/],
    'fence-visibility': [/^sfence/],
    'locked-access': [/^lock xadd /],
  },
  arm64: {
    'stage1-self-check': [/^at\s+s1e1r,/, /^mrs\s+\S+ par_el1/],
    'unaligned-load-simd': [/^ldr\s+q/],
    'unaligned-store-simd': [/^str\s+q/],
    'unaligned-load-pair': [/^ldp\s+x\d+, x\d+, \[x\d+\]$/],
    'unaligned-store-pair': [/^stp\s+x\d+, x\d+, \[x\d+\]$/],
    'simd-half-aligned': [/^ldr\s+q/],
    'zero-block': [/^dc\s+zva,/],
    exclusive: [/^ldxr\s/, /^stxr\s/],
    atomic: [/^ldadd\s/],
    fetch: [/^ic\s+iallu/, /^blr\s/],
    'tag-retention': [/^irg\s/, /^stg\s/],
  },
};

interface Mutant {
  readonly arch: Arch;
  readonly probe: ProbeName;
  readonly what: string;
  /** Below the project's folder. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const NOTHING = '__asm__ volatile("" : : : "memory")';
const X86 = 'x86-tests/probes';
const ARM64 = 'arm64-tests/probes';

const MUTANTS: readonly Mutant[] = [
  {
    arch: 'x86',
    probe: 'cache-flush',
    what: 'CLFLUSH',
    file: `${X86}/cache-flush.c`,
    from: 'flush_line(probe->address)',
    to: NOTHING,
  },
  {
    arch: 'x86',
    probe: 'cache-flush',
    what: 'MFENCE',
    file: `${X86}/cache-flush.c`,
    from: 'full_barrier()',
    to: NOTHING,
  },
  { arch: 'x86', probe: 'nt-load', what: 'MFENCE', file: `${X86}/nt-load.c`, from: 'full_barrier()', to: NOTHING },
  { arch: 'x86', probe: 'nt-load', what: 'MOVNTDQA', file: `${X86}/nt-load.c`, from: 'movntdqa', to: 'movdqa' },
  { arch: 'x86', probe: 'nt-store', what: 'MOVNTI', file: `${X86}/nt-store.c`, from: 'movnti %0', to: 'mov %0' },
  { arch: 'x86', probe: 'nt-store', what: 'SFENCE', file: `${X86}/nt-store.c`, from: 'store_fence()', to: NOTHING },
  {
    arch: 'x86',
    probe: 'fence-visibility',
    what: 'SFENCE',
    file: `${X86}/fence-visibility.c`,
    from: 'store_fence()',
    to: NOTHING,
  },
  {
    arch: 'x86',
    probe: 'direct-store',
    what: 'SFENCE',
    file: `${X86}/direct-store.c`,
    from: 'store_fence()',
    to: NOTHING,
  },
  { arch: 'x86', probe: 'atomic', what: 'LOCK', file: `${X86}/atomic.c`, from: 'lock addq', to: 'addq' },
  {
    arch: 'x86',
    probe: 'locked-access',
    what: 'LOCK',
    file: `${X86}/locked-access.c`,
    from: 'lock xaddq',
    to: 'xaddq',
  },
  {
    arch: 'arm64',
    probe: 'zero-block',
    what: 'DC ZVA',
    file: `${ARM64}/zero-block.c`,
    from: 'dc zva, %0',
    to: 'nop // %0',
  },
  {
    arch: 'arm64',
    probe: 'atomic',
    what: 'LDADD',
    file: `${ARM64}/atomic.c`,
    from: 'ldadd %1, %0, [%2]',
    to: 'ldr %0, [%2] // %1',
  },
  {
    arch: 'arm64',
    probe: 'unaligned-load-pair',
    what: 'LDP',
    file: `${ARM64}/unaligned-load-pair.c`,
    from: 'ldp %0, %1, [%2]',
    to: 'ldr %0, [%2]\\n\\tldr %1, [%2, #8]',
  },
  { arch: 'arm64', probe: 'fetch', what: 'the branch', file: `${ARM64}/fetch.c`, from: 'blr %0', to: 'nop // %0' },
];

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wcvmm-test-'));
  for (const part of ['x86-tests', 'arm64-tests', 'guest-common', 'tool/verify/guest/abi.h', 'tool/verify/linux/abi.h'])
    await cp(join(projectRoot, part), join(folder, part), {
      recursive: true,
      filter: (path) => !path.endsWith('/build'),
    });
});
afterAll(() => rm(folder, { recursive: true }));

function objdumpOf(arch: Arch): string {
  const own = { x86: 'x64', arm64: 'arm64' }[arch] === process.arch;
  return own ? 'objdump' : { x86: 'x86_64-linux-gnu-objdump', arm64: 'aarch64-linux-gnu-objdump' }[arch];
}

/** The instructions that the probes of a guest lack, as `probe: instruction`. */
async function lacking(arch: Arch): Promise<readonly string[]> {
  await run('make', ['-s', '-C', join(folder, `${arch}-tests`), 'build/guest.elf']);
  const probes = Object.entries(INSTRUCTIONS[arch]);
  const { stdout } = await run(
    objdumpOf(arch),
    ['--disassemble', '--no-show-raw-insn', join(folder, `${arch}-tests/build/guest.elf`)],
    { maxBuffer: 1 << 26 },
  );
  const functions = new Map(stdout.split(/\n\n/).map((text) => [/<(\w+)>:/.exec(text)?.[1] ?? '', text] as const));
  return probes.flatMap(([probe, expected]) => {
    const text = functions.get(`probe_${probe.replaceAll('-', '_')}`) ?? '';
    const found = text.split('\n').map((line) => line.split('\t').slice(1).join(' '));
    let from = 0;
    return expected.flatMap((instruction) => {
      const at = found.findIndex((line, index) => index >= from && instruction.test(line));
      if (at < 0) return [`${probe}: ${instruction.source}`];
      from = at + 1;
      return [];
    });
  });
}

describe.each(['x86', 'arm64'] as const)('the guest of %s', (arch) => {
  test('has every instruction that a probe is named after', async () => {
    expect(await lacking(arch)).toEqual([]);
  });

  test.each(MUTANTS.filter((mutant) => mutant.arch === arch))(
    'is found out where $probe lacks $what',
    async ({ probe, file, from, to }) => {
      const path = join(folder, file);
      const source = await readFile(path, 'utf8');
      expect(source).toContain(from);
      await writeFile(path, source.replace(from, to));
      try {
        const missing = await lacking(arch);
        expect(missing.length).toBeGreaterThan(0);
        for (const one of missing) expect(one).toMatch(new RegExp(`^${probe}: `));
      } finally {
        await writeFile(path, source);
      }
    },
  );
});

test('every probe of an instruction of x86 alone is looked at', () => {
  const others = x86.probes.filter((probe) => !(probe in INSTRUCTIONS.x86));
  expect(others).toEqual([
    'stage1-self-check',
    'unaligned-load',
    'unaligned-store',
    'data-read',
    'data-write',
    'store-bandwidth',
    'load-latency',
    'timing-class',
  ]);
});
