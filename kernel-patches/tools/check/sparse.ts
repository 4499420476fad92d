import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { outputOf } from '../../../common/program.ts';

/** A sparse that has been seen to find a mistake. */
export interface Sparse {
  /** The program with what it needs, for make's `CHECK=`: the shell splits it. */
  readonly command: string;
  /** Its version and what it is helped with, for people. */
  readonly name: string;
}

/** For a sparse that does not know the operator, as 0.6.4: qualifiers stay, about which it seldom warns. */
const typeofUnqual = '-D__typeof_unqual__=__typeof__';

/**
 * For a sparse to which __builtin_strlen() is no constant, as 0.6.4: MODULE_INFO() asserts something about it. That
 * is an error, and after one in parsing sparse keeps its warnings to itself: it would be silent about every module.
 * The assertions are gcc's to check.
 */
const noAssertions = '-D_Static_assert(...)=';

/** It ends after 100 of a file by default; some of KVM have more. */
const everything = ['-fmax-warnings=unlimited', '-fmax-errors=unlimited'];

/** A mistake with the address of user space, which must be found, after an assertion as in every module. */
const control = `_Static_assert(sizeof("GPL") - 1 == __builtin_strlen("GPL"), "no NUL in it");
static int mistake(const int __attribute__((noderef, address_space(__user))) *p)
{
	__typeof_unqual__(*p) v = *p;
	return v;
}
`;

/**
 * The sparse to check the kernel in `tree` with: `program` as it is, or with as few definitions as do. It must
 * pass the kernel's own test and find the mistake of the control. Null if it does neither way.
 */
export async function findSparse(tree: string, program = 'sparse'): Promise<Sparse | null> {
  for (const needed of [[], [typeofUnqual], [noAssertions], [typeofUnqual, noAssertions]]) {
    const args = [...everything, ...needed];
    if (!(await passesKernelTest(tree, program, args)) || !(await findsMistake(program, args))) continue;
    const version = (await outputOf(program, ['--version']))?.stdout.trim().split(' ')[0];
    return {
      command: [program, ...args].map((word) => `'${word}'`).join(' '),
      name: [`sparse ${version}`, ...needed].join(' '),
    };
  }
  return null;
}

async function passesKernelTest(tree: string, program: string, args: readonly string[]): Promise<boolean> {
  const output = await outputOf('sh', ['scripts/checker-valid.sh', program, ...args], tree);
  return output?.stdout.trim() === '1';
}

async function findsMistake(program: string, args: readonly string[]): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-sparse-'));
  try {
    const file = join(folder, 'control.c');
    await writeFile(file, control);
    const output = await outputOf(program, [...args, file]);
    const printed = `${output?.stdout}${output?.stderr}`;
    return printed.includes('dereference of noderef expression') && !printed.includes(': error: ');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
