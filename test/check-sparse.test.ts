import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findSparse } from '../kernel-patches/tools/check/sparse.ts';

/** What is found if `program`, a shell script, is the machine's sparse, in a tree whose own test is `valid`. */
async function found(program: string, valid = 'echo 1'): ReturnType<typeof findSparse> {
  const tree = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  try {
    mkdirSync(join(tree, 'scripts'));
    writeFileSync(join(tree, 'scripts/checker-valid.sh'), valid);
    const path = join(tree, 'sparse');
    writeFileSync(path, `#!/bin/sh\n[ "$1" != --version ] || { echo '0.6.4 (Debian: 0.6.4-3)'; exit; }\n${program}\n`);
    chmodSync(path, 0o755);
    return await findSparse(tree, path);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

describe('a sparse', () => {
  const typeofUnqual = '-D__typeof_unqual__=__typeof__';
  const noAssertions = '-D_Static_assert(...)=';
  const finds = "echo 'control.c:5:28: warning: dereference of noderef expression' >&2";
  const findsWithoutAssertions = `case "$*" in *_Static_assert*) ${finds};; *) echo 'control.c:1:1: error: bad constant expression';; esac`;
  const needsOperator = 'case "$*" in *__typeof_unqual__=*) echo 1;; *) echo 0;; esac';

  it('is trusted as it is, or with the definitions that it needs', async () => {
    expect((await found(finds))?.name).toBe('sparse 0.6.4');
    expect((await found(finds, needsOperator))?.name).toBe(`sparse 0.6.4 ${typeofUnqual}`);
    expect((await found(findsWithoutAssertions))?.name).toBe(`sparse 0.6.4 ${noAssertions}`);
    const both = await found(findsWithoutAssertions, needsOperator);
    expect(both?.name).toBe(`sparse 0.6.4 ${typeofUnqual} ${noAssertions}`);
    expect(both?.command).toMatch(/^'.*\/sparse' .* '-D__typeof_unqual__=__typeof__' '-D_Static_assert\(\.\.\.\)='$/);
  });

  it('is not trusted if it analyses nothing, stops at an error, or fails the test of the kernel', async () => {
    expect(await found('exit 0')).toBeNull();
    expect(await found(`${finds}; echo 'control.c:1:1: error: bad constant expression'`)).toBeNull();
    expect(await found(finds, 'echo 0')).toBeNull();
  });

  it.skipIf(spawnSync('sparse', ['--version']).status !== 0)(
    'of this machine finds the mistake of the control (skipped without one)',
    async () => {
      expect(await found('exec sparse "$@"', needsOperator)).not.toBeNull();
    },
  );
});
