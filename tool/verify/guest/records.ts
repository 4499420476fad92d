import { WcvmmError } from '../../../common/errors.ts';
import { structure } from '../../../common/structure.ts';
import { ABI, type GuestOutcome, LOG_AT, RECORD_AT, SIZE_OF, outcomeName } from './abi.ts';

/** A guest's answer to one cell. Syndrome and address are the architecture's own (arm64: ESR_EL1, FAR_EL1). */
export interface GuestRecord {
  /** Index of the cell. */
  cell: number;
  outcome: GuestOutcome;
  syndrome: bigint;
  address: bigint;
  values: readonly [bigint, bigint, bigint, bigint];
}

export interface GuestLog {
  /** records[i] answers cell i. */
  records: readonly GuestRecord[];
  /** Index of the cell that was under way when the guest stopped; null = none. */
  running: number | null;
}

interface RawHeader {
  magic: bigint;
  recordCount: number;
  running: number;
}

interface RawRecord {
  cell: number;
  outcome: number;
  syndrome: bigint;
  address: bigint;
  values: [bigint, bigint, bigint, bigint];
}

const readHeader = structure<RawHeader>((parser) => parser.uint64('magic').uint32('recordCount').uint32('running'));
const readRecord = structure<RawRecord>((parser) =>
  parser
    .uint32('cell')
    .uint32('outcome')
    .uint64('syndrome')
    .uint64('address')
    .array('values', { type: 'uint64le', length: 4 })
    .skip(SIZE_OF.record - RECORD_AT.reserved),
);

/**
 * The guest's log, of which nothing is believed before it is checked: a guest may be wrong, dead or hostile.
 *
 * @param bytes guest RAM from `ABI.logOffset`; `SIZE_OF.log` bytes, or fewer if the records in them suffice
 * @param cellCount cells that the guest was asked
 * @throws WcvmmError E_GUEST_RECORDS when the log is not one that a correct guest can leave behind
 */
export function decodeLog(bytes: Uint8Array, cellCount: number): GuestLog {
  if (bytes.length < SIZE_OF.logHeader)
    refuse(`it has ${bytes.length} bytes where its header has ${SIZE_OF.logHeader}`);
  const { magic, recordCount, running } = readHeader(bytes);
  if (magic === 0n) refuse('the guest never started one: its first word is still 0');
  if (magic !== ABI.magic)
    refuse(`it starts with 0x${magic.toString(16)} where 0x${ABI.magic.toString(16)} was expected`);
  const limit = Math.min(cellCount, ABI.maxRecords, Math.floor((bytes.length - LOG_AT.records) / SIZE_OF.record));
  if (recordCount > limit) refuse(`it counts ${recordCount} records and at most ${limit} can be there`);
  const records = Array.from({ length: recordCount }, (_, index) => {
    const at = LOG_AT.records + index * SIZE_OF.record;
    return checkRecord(readRecord(bytes.subarray(at, at + SIZE_OF.record)), index);
  });
  return { records, running: checkRunning(running, recordCount, cellCount) };
}

function checkRecord({ cell, outcome, syndrome, address, values }: RawRecord, index: number): GuestRecord {
  if (cell !== index) refuse(`record ${index} answers cell ${cell}: records come in the order of the cells`);
  const name = outcomeName(outcome);
  if (name === null) return refuse(`record ${index} has the unknown outcome ${outcome}`);
  return { cell, outcome: name, syndrome, address, values };
}

/**
 * `running` is an index + 1. A guest stopped between counting a record and clearing `running` still names the
 * cell that it has just answered: nothing is under way then.
 */
function checkRunning(running: number, recordCount: number, cellCount: number): number | null {
  if (running === 0 || running === recordCount) return null;
  if (running !== recordCount + 1 || running > cellCount)
    refuse(`it says that cell ${running - 1} of ${cellCount} is under way after ${recordCount} records`);
  return running - 1;
}

function refuse(what: string): never {
  throw new WcvmmError(
    'E_GUEST_RECORDS',
    `the guest's log cannot be believed: ${what}. Either the guest image is not the one built for this version, or it overwrote its own memory`,
  );
}
