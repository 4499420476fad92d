/** The log of a Linux guest's program, found in the guest's RAM. Nothing of it is believed before it is checked. */
import { WcvmmError } from '../../../common/errors.ts';
import type { GuestRam } from '../../../vmm/memory/ram.ts';
import { LOG_AT, SIZE_OF } from '../guest/abi.ts';
import { LINUX_ABI, PAGE_AT } from './abi.ts';
import type { Mark } from './abi.ts';

export interface LinuxLog {
  /** As a bare guest's: header and records. */
  readonly bytes: Uint8Array;
  /** Of the guest, when the program began: ns since it was powered on. */
  readonly bootNs: bigint;
  /** The release of its kernel. */
  readonly release: string;
  /** Its x86/pat_memtype_list before the program mapped anything; '' where it has none. */
  readonly memtypes: string;
  /** Guest-physical page of the control; null: it is not known. */
  readonly control: bigint | null;
}

/** Every page that the mark is on; where a page has been copied, all copies. */
interface FoundPage {
  readonly gpa: bigint;
  readonly index: number;
  readonly bytes: Uint8Array;
}

const MASK = (1n << 64n) - 1n;
/** Most log pages: of as many cells as a guest can be asked, and text. */
const MOST_PAGES = 128;

/** Copies, taken once: what is checked must be what is used. */
function findPages(ram: GuestRam, mark: Mark): readonly FoundPage[] {
  const [first, second] = [mark[0] ^ MASK, mark[1] ^ MASK];
  const found: FoundPage[] = [];
  const step = LINUX_ABI.pageSize / 8;
  for (const { gpa, length } of ram.regions) {
    const bytes = ram.view(gpa, Number(length));
    const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
    for (let at = 0; at + step <= words.length && found.length <= MOST_PAGES; at += step) {
      if (words[at] !== first || words[at + 1] !== second) continue;
      const page = bytes.slice(at * 8, at * 8 + LINUX_ABI.pageSize);
      found.push({
        gpa: gpa + BigInt(at * 8),
        index: new DataView(page.buffer).getUint32(PAGE_AT.index, true),
        bytes: page,
      });
    }
  }
  return found;
}

/**
 * Null where the program never began.
 *
 * Throws E_GUEST_RECORDS for pages that a correct program cannot have left.
 */
export function findLog(ram: GuestRam, mark: Mark, cellCount: number): LinuxLog | null {
  const found = findPages(ram, mark);
  const [one] = found;
  if (one === undefined) return null;
  const pageCount = new DataView(one.bytes.buffer).getUint32(PAGE_AT.pageCount, true);
  const recordBytes = SIZE_OF.logHeader + cellCount * SIZE_OF.record;
  if (pageCount !== Math.ceil((recordBytes + LINUX_ABI.maxText) / LINUX_ABI.content))
    throw refused(`it says that it has ${pageCount} pages`);
  const contents = new Uint8Array(pageCount * LINUX_ABI.content);
  for (let index = 0; index < pageCount; index += 1) {
    const pages = found.filter((page) => page.index === index);
    const [page, other] = pages;
    if (page === undefined || other !== undefined)
      throw refused(`page ${index} of ${pageCount} is there ${pages.length} times`);
    contents.set(page.bytes.subarray(PAGE_AT.content), index * LINUX_ABI.content);
  }
  const header = new DataView(contents.buffer);
  const reserved = (index: number): bigint => header.getBigUint64(LOG_AT.reserved + index * 8, true);
  const textLength = reserved(LINUX_ABI.textLength);
  if (textLength > BigInt(LINUX_ABI.maxText)) throw refused(`its text has ${textLength} bytes`);
  const text = Buffer.from(contents.buffer, recordBytes, Number(textLength)).toString('latin1');
  const line = text.indexOf('\n');
  const controls = found.filter(({ index }) => index === pageCount);
  return {
    bytes: contents.subarray(0, recordBytes),
    bootNs: reserved(LINUX_ABI.bootNs),
    release: printable(line < 0 ? '' : text.slice(0, line)),
    // What was cut has no end.
    memtypes: text.endsWith('\n') ? text.slice(line + 1) : '',
    control: controls.length === 1 ? (controls[0]?.gpa ?? null) : null,
  };
}

/** A kernel's release has no other characters. */
function printable(text: string): string {
  return /^[\w.+~-]{1,64}$/.test(text) ? text : 'unknown';
}

function refused(what: string): WcvmmError {
  return new WcvmmError(
    'E_GUEST_RECORDS',
    `the log in the Linux guest's RAM cannot be believed: ${what}. Either its /init is not the one built for this version, or its memory was overwritten.`,
  );
}
