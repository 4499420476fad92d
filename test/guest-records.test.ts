import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WcvmmError } from '../common/errors.ts';
import { ABI, LOG_AT, OUTCOME_NUMBER, RECORD_AT, SIZE_OF } from '../tool/verify/guest/abi.ts';
import { type GuestLog, decodeLog } from '../tool/verify/guest/records.ts';
import { randomRuns } from './random-runs.ts';

const U64 = fc.bigInt(0n, (1n << 64n) - 1n);
const refused = { name: 'WcvmmError', code: 'E_GUEST_RECORDS' };

interface Written {
  cell: number;
  outcome: number;
  syndrome: bigint;
  address: bigint;
  values: readonly bigint[];
}

function writeLog(
  records: readonly Written[],
  { magic = ABI.magic, running = 0, count = records.length }: { magic?: bigint; running?: number; count?: number } = {},
): Uint8Array {
  // An odd start in a larger buffer, as guest RAM may be: the parser must not read relative to the whole buffer.
  const bytes = new Uint8Array(SIZE_OF.log + 3).subarray(3);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setBigUint64(LOG_AT.magic, magic, true);
  view.setUint32(LOG_AT.recordCount, count, true);
  view.setUint32(LOG_AT.running, running, true);
  for (const [index, record] of records.entries()) {
    const at = LOG_AT.records + index * SIZE_OF.record;
    view.setUint32(at + RECORD_AT.cell, record.cell, true);
    view.setUint32(at + RECORD_AT.outcome, record.outcome, true);
    view.setBigUint64(at + RECORD_AT.syndrome, record.syndrome, true);
    view.setBigUint64(at + RECORD_AT.address, record.address, true);
    for (const [place, value] of record.values.entries())
      view.setBigUint64(at + RECORD_AT.value + place * 8, value, true);
  }
  return bytes;
}

const ok = (cell: number): Written => ({ cell, outcome: OUTCOME_NUMBER.ok, syndrome: 0n, address: 0n, values: [] });

/** The log, or what was thrown instead of it. */
function endOf(bytes: Uint8Array, cells: number): unknown {
  try {
    return decodeLog(bytes, cells);
  } catch (error) {
    return error;
  }
}

describe('decodeLog', () => {
  it('takes a header alone for a log of no records, and less for none', () => {
    const header = writeLog([]).subarray(0, SIZE_OF.logHeader);
    expect(decodeLog(header, 3)).toEqual({ records: [], running: null });
    expect(endOf(header.subarray(1), 3)).toMatchObject(refused);
  });

  it('reads back every field of what a guest writes', () => {
    const record = fc.record({
      outcome: fc.constantFrom(...Object.entries(OUTCOME_NUMBER)),
      syndrome: U64,
      address: U64,
      values: fc.tuple(U64, U64, U64, U64),
    });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 20 }), fc.nat(5), (records, more) => {
        const written = records.map(({ outcome, ...rest }, cell) => ({ cell, outcome: outcome[1], ...rest }));
        const log = decodeLog(writeLog(written), records.length + more);
        expect(log).toEqual({
          records: records.map(({ outcome, ...rest }, cell) => ({ cell, outcome: outcome[0], ...rest })),
          running: null,
        });
      }),
    );
  });

  it('names the cell that was under way', () => {
    expect(decodeLog(writeLog([ok(0), ok(1)], { running: 3 }), 5)).toMatchObject({ running: 2 });
    expect(decodeLog(writeLog([], { running: 1 }), 5)).toMatchObject({ running: 0 });
  });

  it('has nothing under way when the guest stopped between counting a record and clearing the mark', () => {
    expect(decodeLog(writeLog([ok(0), ok(1)], { running: 2 }), 5)).toMatchObject({ running: null });
  });

  it('holds as many records as there can be cells', () => {
    const records = Array.from({ length: ABI.maxRecords }, (_, cell) => ok(cell));
    const log = decodeLog(writeLog(records), ABI.maxCells);
    expect(log.records).toHaveLength(ABI.maxRecords);
  });

  it.each([
    ['no bytes', new Uint8Array(0), 'its header has 64'],
    ['half a header', writeLog([]).subarray(0, 63), 'it has 63 bytes'],
    ['a log that never began', writeLog([], { magic: 0n }), 'never started'],
    ['another magic', writeLog([], { magic: 0xdeadn }), '0xdead'],
    ['more records than cells', writeLog([ok(0), ok(1), ok(2), ok(3)]), 'counts 4 records and at most 3'],
    ['a count beyond the log', writeLog([], { count: 0xffff_ffff }), 'counts 4294967295'],
    ['a count beyond the bytes', writeLog([ok(0), ok(1)]).subarray(0, SIZE_OF.logHeader + SIZE_OF.record), 'at most 1'],
    ['records out of order', writeLog([ok(1), ok(0)]), 'record 0 answers cell 1'],
    ['a cell out of range', writeLog([ok(0xffff_ffff)]), 'answers cell 4294967295'],
    ['an unknown outcome', writeLog([{ ...ok(0), outcome: 11 }]), 'unknown outcome 11'],
    ['an outcome of 0', writeLog([{ ...ok(0), outcome: 0 }]), 'unknown outcome 0'],
    ['a running cell far ahead', writeLog([ok(0)], { running: 3 }), 'cell 2 of 3'],
    ['a running cell behind the last', writeLog([ok(0), ok(1), ok(2)], { running: 4 }), 'cell 3 of 3'],
  ])('refuses %s', (_, bytes, reason) => {
    expect(endOf(bytes, 3)).toMatchObject({ ...refused, message: expect.stringContaining(reason) });
  });

  it('throws nothing but its own error, whatever the bytes', () => {
    const soup = fc.uint8Array({ maxLength: 600 });
    const almost = fc.tuple(fc.nat(4), fc.nat(6), soup).map(([count, running, tail]) => {
      const bytes = new Uint8Array(64 + tail.length);
      bytes.set(writeLog([], { count, running }).subarray(0, 64));
      bytes.set(tail, 64);
      return bytes;
    });
    const mutated = fc
      .tuple(fc.array(fc.tuple(fc.nat(64 + 4 * 64 - 1), fc.nat(255)), { maxLength: 4 }))
      .map(([changes]) => {
        const bytes = writeLog([ok(0), ok(1), ok(2), ok(3)]);
        for (const [at, value] of changes) bytes[at] = value;
        return bytes;
      });
    const property = fc.property(fc.oneof(soup, almost, mutated), fc.nat(8), (bytes, cells) => {
      const end = endOf(bytes, cells);
      if (end instanceof WcvmmError) return end.code === 'E_GUEST_RECORDS';
      if (end instanceof Error) return false;
      const { records, running } = end as GuestLog;
      return records.length <= cells && (running === null || (running >= records.length && running < cells));
    });
    expect(() => fc.assert(property, { numRuns: randomRuns(2000) })).not.toThrow();
  });
});
