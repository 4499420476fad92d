/** tool/verify/linux/abi.ts against abi.h, by the machine's own compiler. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import {
  LINUX_ABI,
  LINUX_WINDOW_AT,
  LINUX_WINDOW_SIZE,
  PAGE_AT,
  QUESTIONS_AT,
  QUESTIONS_PATH,
  encodeQuestions,
} from '../tool/verify/linux/abi.ts';

const run = promisify(execFile);
const HEADER = join(projectRoot, 'tool/verify/linux/abi.h');

/** What a C program that knows the header prints, given `input` as a file. */
async function fromC(body: string, input: Uint8Array = new Uint8Array()): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-abi-'));
  try {
    const source = `#include <stddef.h>\n#include <stdio.h>\n#include "${HEADER}"\nint main(int count, char **arguments) {\n(void)count, (void)arguments;\n${body}\n}\n`;
    const [file, program] = [join(folder, 'abi.c'), join(folder, 'abi')];
    await writeFile(file, source);
    await run('cc', ['-std=c11', '-Wall', '-Werror', '-o', program, file]);
    const data = join(folder, 'input');
    await writeFile(data, input);
    return (await run(program, [data])).stdout.trim();
  } finally {
    await rm(folder, { recursive: true });
  }
}

const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

test('has the numbers that C has', async () => {
  const constants = Object.entries(LINUX_ABI).map(
    ([name, value]) => [`WCVMM_LINUX_${snake(name).toUpperCase()}`, BigInt(value)] as const,
  );
  const offsets = [
    ['questions', QUESTIONS_AT],
    ['window', LINUX_WINDOW_AT],
    ['page', PAGE_AT],
  ] as const;
  const fields = offsets.flatMap(([type, of]) =>
    Object.entries(of).map(
      ([field, value]) => [`offsetof(struct wcvmm_linux_${type}, ${snake(field)})`, BigInt(value)] as const,
    ),
  );
  const expected = new Map<string, bigint>([
    ...constants,
    ...fields,
    ['sizeof(struct wcvmm_linux_window)', BigInt(LINUX_WINDOW_SIZE)],
    ['sizeof(struct wcvmm_linux_page)', BigInt(LINUX_ABI.pageSize)],
  ]);
  const printed = await fromC(
    [...expected.keys()].map((one) => `  printf("%llx\\n", (unsigned long long)(${one}));`).join('\n'),
  );
  const found = printed.split('\n').map((line) => BigInt(`0x${line}`));
  expect(new Map([...expected.keys()].map((one, index) => [one, found[index]]))).toEqual(expected);
  expect(await fromC('printf("%s", WCVMM_LINUX_QUESTIONS);')).toBe(`/${QUESTIONS_PATH}`);
});

test('encodes questions that C reads back', async () => {
  const questions = encodeQuestions(
    [0x1122_3344_5566_7788n, 0x99n],
    [{ device: '0000:00:01.0', bar: 2, offset: 0x10_0000n }, null],
    [{ window: 1, stage1: 1, probe: 'unaligned-load', offset: 0x3000n, argument: 7n, registers: true }],
  );
  const body = `  static union { struct wcvmm_linux_questions of; unsigned char bytes[4096]; } q;
  FILE *file = fopen(arguments[1], "rb");
  if (!file || fread(q.bytes, 1, sizeof(q.bytes), file) != ${questions.length}) return 1;
  printf("%llx %llx %llx %u %u %s %u %llx [%s] %u %u %u %llx", q.of.magic, q.of.mark[0], q.of.mark[1], q.of.window_count,
    q.of.cell_count, q.of.windows[0].device, q.of.windows[0].bar, q.of.windows[0].offset, q.of.windows[1].device,
    q.of.cells[0].window, q.of.cells[0].stage1, q.of.cells[0].flags, q.of.cells[0].offset);`;
  expect(await fromC(body, questions)).toBe(
    '314c4d5643570000 1122334455667788 99 2 1 0000:00:01.0 2 100000 [] 1 1 2 3000',
  );
});

test('refuses more windows than the guest has room for', () => {
  const windows = Array.from({ length: LINUX_ABI.maxWindows + 1 }, () => null);
  expect(() => encodeQuestions([0n, 0n], windows, [])).toThrow(RangeError);
});
