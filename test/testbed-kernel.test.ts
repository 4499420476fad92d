import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import { unmetOptions } from '../testbed/kernel/config.ts';
import { ensureKernel } from '../testbed/kernel/index.ts';
import {
  diffOf,
  kernelDiffsOf,
  parseSeries,
  patchesOf,
  readSeries,
  touchedFiles,
  variantConfigs,
  type Patch,
} from '../testbed/kernel/series.ts';
import { sourceAtHand, type KernelSource } from '../testbed/kernel/source.ts';
import { KernelTree } from '../testbed/kernel/tree.ts';
import { kernelOf, kernelVariants, machineOf } from '../testbed/machine/index.ts';
import { silent } from '../common/progress.ts';

const never = new AbortController().signal;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function refusal(promise: Promise<unknown>): Promise<WcvmmError> {
  const error: unknown = await promise.then(
    () => new Error('it was accepted'),
    (reason: unknown) => reason,
  );
  if (error instanceof WcvmmError) return error;
  throw error;
}

describe('the configuration', () => {
  it('names every option that kconfig dropped or changed', () => {
    const fragment =
      '# a comment\nCONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n# CONFIG_D is not set\nCONFIG_NAME="-x"\n';
    const dotConfig = 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_D=y\nCONFIG_NAME="-x"\n';
    expect(unmetOptions(fragment, dotConfig)).toEqual(['CONFIG_B is n instead of y', 'CONFIG_D is y instead of n']);
  });
});

function mail(number: string): Patch {
  return {
    name: 'p',
    text: `Date: ${number}\nSubject: [PATCH ${number}] a\n\n---\n a.c | 2\n\ndiff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n`,
  };
}

/** A patch that adds files with one or more lines. */
function patchOf(...files: (readonly [string, string])[]): Patch {
  const diffs = files.map(
    ([file, text]) => `diff --git a/${file} b/${file}\n--- /dev/null\n+++ b/${file}\n@@ -0,0 +1 @@\n+${text}\n`,
  );
  return { name: 'p', text: `Subject: a\n\n---\n\n${diffs.join('')}` };
}

describe('the series', () => {
  it('is a list of names with comments', () => {
    expect(parseSeries('# cover\n0001-a.patch\n\n0002-b.patch # why\n')).toEqual(['0001-a.patch', '0002-b.patch']);
  });

  it('can be read, and every patch of it names the files that it touches', async () => {
    const series = await readSeries();
    expect(series.length).toBeGreaterThan(0);
    expect(series.filter(({ text }) => touchedFiles(text).length === 0).map(({ name }) => name)).toEqual([]);
  });

  it('gives the same kernel under another number and date', () => {
    expect(diffOf(mail('1/2'))).toBe(diffOf(mail('2/3')));
    expect(diffOf(mail('1/2'))).toContain('+++ b/a.c');
  });

  it('gives the same kernel with another selftest or another text, and with nothing else', () => {
    const driver = ['drivers/vfio/vfio_main.c', 'int a;'] as const;
    const alone = kernelDiffsOf([patchOf(driver)]);
    expect(alone).toHaveLength(1);
    for (const file of [
      'tools/testing/selftests/kvm/a_test.c',
      'tools/testing/selftests/vfio/Makefile',
      'Documentation/virt/kvm/api.rst',
    ]) {
      expect(kernelDiffsOf([patchOf([file, 'one'])])).toEqual([]);
      expect(kernelDiffsOf([patchOf([file, 'one'], driver)])).toEqual(alone);
    }
    for (const file of [
      driver[0],
      'include/uapi/linux/vfio.h',
      'mm/Kconfig',
      'Documentation/Kconfig',
      'drivers/vfio/Makefile',
      'tools/objtool/check.c',
      'tools/testing/selftests/kselftest_module.h',
    ])
      expect(kernelDiffsOf([patchOf([file, 'one'])])).not.toEqual(kernelDiffsOf([patchOf([file, 'two'])]));
  });

  it('is another kernel with a file that is only renamed, and as a patch that has no head', () => {
    const moved = 'diff --git a/tools/testing/selftests/kvm/a.h b/include/a.h\nsimilarity index 100%\n';
    expect(kernelDiffsOf([{ name: 'p', text: `Subject: a\n\n${moved}` }])).toEqual([moved]);
    const bare = patch('p', 'a.c', 'int a;', 'int b;');
    expect(kernelDiffsOf([bare])).toEqual([bare.text]);
  });

  it('knows a line of a file that reads like the head of a diff', () => {
    const selftest = patchOf(['tools/testing/selftests/kvm/a.c', 'diff --git a/b.c b/b.c\n++++ b/b.c']);
    expect(kernelDiffsOf([selftest])).toEqual([]);
  });

  it('is what the patched kernel has; those that must fail have one patch more, of KVM alone', async () => {
    const series = await readSeries();
    const x86 = kernelOf('x86');
    expect(kernelVariants(x86)).toEqual(['patched', 'wrong-type', 'stock']);
    expect([await patchesOf('stock', x86), await patchesOf('patched', x86)]).toEqual([[], series]);
    const wrong = await patchesOf('wrong-type', x86);
    expect([wrong.slice(0, -1), touchedFiles(wrong.at(-1)?.text ?? '')]).toEqual([series, ['arch/x86/kvm/mmu/spte.c']]);
    const arm64 = kernelOf('arm64');
    expect(kernelVariants(arm64)).toEqual([
      'patched',
      'wrong-type',
      'wrong-cacheable',
      'cacheable',
      'old-zap',
      'stock',
    ]);
    for (const variant of ['wrong-type', 'wrong-cacheable'] as const)
      expect(touchedFiles((await patchesOf(variant, arm64)).at(-1)?.text ?? '')).toEqual(['arch/arm64/kvm/mmu.c']);
    expect((await refusal(patchesOf('wrong-cacheable', x86))).code).toBe('E_USAGE');
  });

  it('is in every kernel that is compiled in another way, but for the one that shows what stock does', async () => {
    const [arm64, x86] = [kernelOf('arm64'), kernelOf('x86')];
    const series = await readSeries();
    for (const variant of ['debug', '16k', '64k'] as const) expect(await patchesOf(variant, arm64)).toEqual(series);
    expect(await patchesOf('debug-stock', x86)).toEqual([]);
    expect([variantConfigs('64k', arm64), variantConfigs('debug-stock', x86), variantConfigs('patched', x86)]).toEqual([
      ['configs/64k.config'],
      ['configs/debug.config'],
      null,
    ]);
    expect(() => variantConfigs('16k', x86)).toThrow('There is no 16k kernel for x86');
  });
});

describe('the source', () => {
  it('must exist', async () => {
    expect((await refusal(sourceAtHand(join(folder, 'absent')))).code).toBe('E_KERNEL_SOURCE');
  });

  it('must be a Linux tree', async () => {
    writeFileSync(join(folder, 'Makefile'), 'all:\n');
    const error = await refusal(sourceAtHand(folder));
    expect([error.code, error.message]).toEqual([
      'E_KERNEL_SOURCE',
      expect.stringContaining('is not a Linux source tree'),
    ]);
  });

  it('is another one when a file of a given tree changes', async () => {
    writeFileSync(join(folder, 'Makefile'), 'VERSION = 7\nPATCHLEVEL = 3\n');
    writeFileSync(join(folder, 'a.c'), 'int a;\n');
    const before = await sourceAtHand(folder);
    expect(await sourceAtHand(folder)).toEqual(before);
    writeFileSync(join(folder, 'a.c'), 'int a = 1;\n');
    expect(await sourceAtHand(folder)).not.toEqual(before);
  });
});

function patch(name: string, file: string, from: string, to: string): Patch {
  return { name, text: `--- a/${file}\n+++ b/${file}\n@@ -1 +1 @@\n-${from}\n+${to}\n` };
}

describe('the tree', () => {
  const first = patch('0001-first.patch', 'a.c', 'int a;', 'int a = 1;');
  const second = patch('0002-second.patch', 'b.c', 'int b;', 'int b = 1;');
  const other = patch('0002-other.patch', 'b.c', 'int b;', 'int b = 2;');
  const wrong = patch('0002-wrong.patch', 'b.c', 'int c;', 'int c = 1;');

  let source: KernelSource;
  let tree: KernelTree;
  const text = (file: string): string => readFileSync(join(tree.path, file), 'utf8');
  const bringTo = async (...patches: Patch[]): Promise<void> => tree.bringTo(source, patches, silent, never);
  beforeEach(() => {
    mkdirSync(join(folder, 'linux-7.3'));
    writeFileSync(join(folder, 'linux-7.3/a.c'), 'int a;\n');
    writeFileSync(join(folder, 'linux-7.3/b.c'), 'int b;\n');
    execFileSync('tar', ['-C', folder, '-cJf', join(folder, 'linux.tar.xz'), 'linux-7.3']);
    source = { kind: 'archive', identity: 'one', path: join(folder, 'linux.tar.xz') };
    tree = new KernelTree(join(folder, 'tree'));
  });

  it('goes from nothing to a series, to another one and back to stock', async () => {
    await bringTo(first, second);
    expect([text('a.c'), text('b.c')]).toEqual(['int a = 1;\n', 'int b = 1;\n']);
    await bringTo(first, other);
    expect([text('a.c'), text('b.c')]).toEqual(['int a = 1;\n', 'int b = 2;\n']);
    await bringTo();
    expect([text('a.c'), text('b.c')]).toEqual(['int a;\n', 'int b;\n']);
  });

  it('leaves the time of a file alone that a changed series does not change', async () => {
    await bringTo(first, second);
    for (const file of ['a.c', 'b.c']) utimesSync(join(tree.path, file), 1000, 1000);
    await bringTo(first, other);
    expect([statSync(join(tree.path, 'a.c')).mtimeMs, statSync(join(tree.path, 'b.c')).mtimeMs > 1_000_000]).toEqual([
      1_000_000,
      true,
    ]);
  });

  it('refuses a patch that does not apply, names it, and is good for the next series without unpacking again', async () => {
    await bringTo();
    writeFileSync(join(tree.path, 'object.o'), '');
    const error = await refusal(bringTo(first, wrong));
    expect([error.code, error.message]).toEqual([
      'E_KERNEL_SOURCE',
      expect.stringContaining('0002-wrong.patch does not apply'),
    ]);
    await bringTo(first, second);
    expect([text('a.c'), text('b.c'), existsSync(join(tree.path, 'object.o'))]).toEqual([
      'int a = 1;\n',
      'int b = 1;\n',
      true,
    ]);
  });

  it('starts over after an interruption in the middle of a change, and for another source', async () => {
    await bringTo(first);
    const state = join(folder, 'tree/state.json');
    writeFileSync(state, JSON.stringify({ identity: 'one', applied: null }));
    writeFileSync(join(tree.path, 'a.c'), 'half\n');
    await bringTo(first);
    expect(text('a.c')).toBe('int a = 1;\n');
    source = { ...source, identity: 'two' };
    await bringTo();
    expect(text('a.c')).toBe('int a;\n');
  });
});

it('reports a build that fails with what the compiler said', async () => {
  const broken = join(folder, 'linux-7.3');
  mkdirSync(broken);
  writeFileSync(
    join(broken, 'Makefile'),
    'VERSION = 7\nPATCHLEVEL = 3\nmrproper:\nallnoconfig:\n\t@echo "a.c:1: error: it is broken" >&2; exit 1\n',
  );
  const cache = process.env['XDG_CACHE_HOME'];
  process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
  try {
    const error = await refusal(
      ensureKernel({
        target: machineOf('arm64').kernel,
        variant: 'stock',
        source: broken,
        progress: silent,
        signal: never,
      }),
    );
    expect([error.code, error.message]).toEqual([
      'E_KERNEL_BUILD',
      expect.stringContaining('a.c:1: error: it is broken'),
    ]);
  } finally {
    if (cache === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = cache;
  }
});
