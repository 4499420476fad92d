import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROBES } from '../memattr/index.ts';
import {
  ABI,
  CELL_AT,
  DOORBELL,
  LOG_AT,
  OUTCOME_NUMBER,
  PARAMS_AT,
  PROBE_NUMBER,
  RECORD_AT,
  SIZE_OF,
  CELL_FLAG,
  STATUS,
  encodeCells,
  encodeParams,
  outcomeName,
  wcvmmPattern,
} from '../tool/verify/guest/abi.ts';
import { MEASURE, measureArgument } from '../tool/verify/guest/measure.ts';

const run = promisify(execFile);
const header = fileURLToPath(new URL('../tool/verify/guest/abi.h', import.meta.url));

const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const upper = (name: string): string => snake(name).replaceAll('-', '_').toUpperCase();

/** The C expression for every number of abi.ts, and that number. */
function expectations(): Map<string, bigint> {
  const all = new Map<string, bigint>();
  const constant: Record<keyof typeof ABI, string> = {
    magic: 'ABI_MAGIC',
    version: 'ABI_VERSION',
    paramsOffset: 'PARAMS_OFFSET',
    cellsOffset: 'CELLS_OFFSET',
    logOffset: 'LOG_OFFSET',
    ramSize: 'RAM_SIZE',
    maxWindows: 'MAX_WINDOWS',
    maxStage1: 'MAX_STAGE1',
    maxCells: 'MAX_CELLS',
    maxRecords: 'MAX_RECORDS',
    maxRepetitions: 'MAX_REPETITIONS',
  };
  for (const [name, value] of Object.entries(ABI))
    all.set(`WCVMM_${constant[name as keyof typeof ABI]}`, BigInt(value));
  for (const [name, value] of Object.entries(DOORBELL)) all.set(`WCVMM_DOORBELL_${upper(name)}`, BigInt(value));
  for (const [name, value] of Object.entries(STATUS))
    all.set(`WCVMM_STATUS_${snake(name).toUpperCase()}`, BigInt(value));
  for (const [name, value] of Object.entries(CELL_FLAG)) all.set(`WCVMM_CELL_${upper(name)}`, BigInt(value));
  for (const [name, value] of Object.entries(MEASURE)) all.set(`WCVMM_MEASURE_${upper(name)}`, BigInt(value));
  for (const [name, value] of Object.entries(PROBE_NUMBER)) all.set(`WCVMM_PROBE_${upper(name)}`, BigInt(value));
  for (const [name, value] of Object.entries(OUTCOME_NUMBER)) all.set(`WCVMM_OUTCOME_${upper(name)}`, BigInt(value));
  const { logHeader, ...sizes } = SIZE_OF;
  all.set('offsetof(struct wcvmm_log, records) ', BigInt(logHeader));
  for (const [name, value] of Object.entries(sizes)) all.set(`sizeof(struct wcvmm_${name})`, BigInt(value));
  for (const seed of [0n, 1n, 0xffff_ffff_ffff_ffffn]) {
    for (const index of [0, 7, 4096]) all.set(`wcvmm_pattern(${seed}ull, ${index})`, wcvmmPattern(seed, index));
  }
  for (const [type, fields] of Object.entries({ params: PARAMS_AT, cell: CELL_AT, record: RECORD_AT, log: LOG_AT })) {
    for (const [field, value] of Object.entries(fields))
      all.set(`offsetof(struct wcvmm_${type}, ${snake(field)})`, BigInt(value));
  }
  return all;
}

describe('measureArgument', () => {
  it('has a place for each field', () => {
    expect(measureArgument({ repetitions: 3, size: 4096, stride: 64 })).toBe(0x0040_1000_0000_0003n);
    expect(measureArgument({ repetitions: 1, size: 8, stride: 8, storeFirst: true })).toBe(0x0008_0008_8000_0001n);
  });

  it.each([
    { repetitions: 0, size: 64, stride: 8 },
    { repetitions: 0x10_0001, size: 64, stride: 8 },
    { repetitions: 1.5, size: 64, stride: 8 },
    { repetitions: 1, size: 4104, stride: 8 },
    { repetitions: 1, size: 12, stride: 8 },
    { repetitions: 1, size: 64, stride: 0 },
  ])('refuses %j, as the guest would', (measure) => {
    expect(() => measureArgument(measure)).toThrow(RangeError);
  });
});

describe('abi.ts against abi.h', () => {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wcvmm-abi-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it("has the numbers that the machine's own compiler sees", async () => {
    const expected = expectations();
    const lines = [...expected.keys()].map((expression) => `  printf("%llx\\n", (unsigned long long)(${expression}));`);
    const source = [
      '#include <stddef.h>',
      '#include <stdio.h>',
      `#include "${header}"`,
      'int main(void) {',
      ...lines,
      '}',
    ].join('\n');
    const [file, program] = [join(directory, 'abi.c'), join(directory, 'abi')];
    await writeFile(file, source);
    await run('cc', ['-std=c11', '-Wall', '-Werror', '-o', program, file]);
    const { stdout } = await run(program);
    const found = stdout
      .trim()
      .split('\n')
      .map((line) => BigInt(`0x${line}`));
    expect(new Map([...expected.keys()].map((expression, index) => [expression, found[index]]))).toEqual(expected);
  });

  it('knows every probe and outcome that the header lists', async () => {
    const { stdout } = await run('cc', ['-E', '-P', header]);
    const names = (prefix: string) => new Set(stdout.match(new RegExp(String.raw`\b${prefix}_\w+`, 'g')));
    expect(names('WCVMM_PROBE')).toEqual(
      new Set(Object.keys(PROBE_NUMBER).map((name) => `WCVMM_PROBE_${upper(name)}`)),
    );
    expect(names('WCVMM_OUTCOME')).toEqual(
      new Set(Object.keys(OUTCOME_NUMBER).map((name) => `WCVMM_OUTCOME_${upper(name)}`)),
    );
  });

  it("numbers the probes in the model's order", () => {
    expect(PROBES.map((probe) => PROBE_NUMBER[probe])).toEqual(PROBES.map((_, index) => index + 1));
  });

  it('keeps params, cells and log apart and inside of RAM', () => {
    expect(ABI.paramsOffset + SIZE_OF.params).toBeLessThanOrEqual(ABI.cellsOffset);
    expect(ABI.cellsOffset + ABI.maxCells * SIZE_OF.cell).toBeLessThanOrEqual(ABI.logOffset);
    expect(ABI.logOffset + SIZE_OF.log).toBeLessThanOrEqual(ABI.ramSize);
  });

  it('encodes what a C program reads back', async () => {
    const windows = [
      { gpa: 0x1_0000_0000n, length: 0x1_0000n },
      { gpa: 0x2_0000_0000n, length: 0x2_0000_0000n },
    ];
    const params = encodeParams({ stage1: [0, 4, 0x0c, 0x44, 0xff], windows, cellCount: 1 });
    const cells = encodeCells([
      {
        window: 1,
        stage1: 4,
        probe: 'data-read',
        offset: 0x1_2345_6000n,
        argument: 0xfedc_ba98_7654_3210n,
        verbose: true,
      },
    ]);
    const source = `#include <stdio.h>
#include "${header}"
int main(void) {
  struct wcvmm_params p; struct wcvmm_cell c;
  if (fread(&p, sizeof p, 1, stdin) != 1 || fread(&c, sizeof c, 1, stdin) != 1) return 1;
  printf("%llx %u %u %u %u %x %llx %llx %u %u %u %u %llx %llx\\n", p.magic, p.version, p.window_count, p.stage1_count, p.cell_count,
    p.stage1[4], p.windows[1].gpa, p.windows[1].length, c.window, c.stage1, c.probe, c.flags, c.offset, c.argument);
}`;
    const [file, program] = [join(directory, 'read.c'), join(directory, 'read')];
    await writeFile(file, source);
    await run('cc', ['-std=c11', '-Wall', '-Werror', '-o', program, file]);
    const child = run(program);
    child.child.stdin?.end(Buffer.concat([params, cells]));
    const { stdout } = await child;
    expect(stdout.trim()).toBe('314d4d5643570000 1 2 5 1 ff 200000000 200000000 1 4 13 1 123456000 fedcba9876543210');
  });
});

describe('limits', () => {
  it('refuses more windows than a guest can hold with an error for the user', () => {
    const windows = Array.from({ length: 17 }, () => ({ gpa: 0n, length: 4096n }));
    expect(() => encodeParams({ stage1: [], windows, cellCount: 0 })).toThrow(
      expect.objectContaining({ code: 'E_USAGE' }),
    );
    expect(() => encodeParams({ stage1: [0, 0, 0, 0, 0, 0, 0], windows: [], cellCount: 0 })).toThrow(RangeError);
    expect(() => encodeParams({ stage1: [], windows: [], cellCount: 4097 })).toThrow(RangeError);
  });

  it('names no outcome for a number that is not one', () => {
    expect([0, 11, 0xffff_ffff].map(outcomeName)).toEqual([null, null, null]);
    expect(outcomeName(5)).toBe('undefined');
  });
});

describe('wcvmmPattern', () => {
  it('is splitmix64: the published first outputs of seed 1234567', () => {
    expect([0, 1, 2, 3, 4].map((index) => wcvmmPattern(1234567n, index))).toEqual([
      6457827717110365317n,
      3203168211198807973n,
      9817491932198370423n,
      4593380528125082431n,
      16408922859458223821n,
    ]);
  });

  it('stays in 64 bits and differs between neighbours', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 64n) - 1n), fc.nat(4096), (seed, index) => {
        const word = wcvmmPattern(seed, index);
        expect(word).toBe(BigInt.asUintN(64, word));
        expect(word).not.toBe(wcvmmPattern(seed, index + 1));
      }),
    );
  });
});
