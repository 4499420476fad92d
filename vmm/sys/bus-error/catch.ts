/**
 * A device whose memory decoding is off, that was reset or taken away answers nothing: VFIO takes its mappings away, and this process's own load or
 * store there is a SIGBUS, which would end it. No JavaScript can run in a signal handler, so this one is machine code: it puts zeroed
 * memory in the page's place, and counts. Whoever makes the access looks at the count.
 */
import { native } from '../native.ts';
import { HANDLER } from './code.ts';

const SIGBUS = 7;
const SA_SIGINFO = 4;
const SA_ONSTACK = 0x0800_0000;
const [PROT_READ, PROT_WRITE, PROT_EXEC] = [1, 2, 4];
const [MAP_PRIVATE, MAP_ANONYMOUS] = [2, 0x20];
const SC_PAGESIZE = 30;

/** As handler-x86.S has it. */
const DATA = 65_536;
const AT = { count: 0, ranges: 8, last: 16, mask: 24, size: 32, list: 128 } as const;
const MOST = 4096;
const LENGTH = DATA + AT.list + MOST * 16;

/** The handler's data, seen by one thread. */
interface Table {
  readonly address: bigint;
  readonly count: Int32Array;
  readonly words: BigUint64Array;
  /** Mappings by their place in the list. */
  readonly ranges: { start: bigint; end: bigint }[];
}

let table: Table | null = null;

function tableAt(address: bigint): Table {
  const { koffi } = native();
  const buffer = koffi.view(address, LENGTH - DATA);
  return { address, count: new Int32Array(buffer, 0, 2), words: new BigUint64Array(buffer), ranges: [] };
}

/** Null on a machine that the handler is not written for. */
function install(): Table | null {
  const code = HANDLER[process.arch];
  if (code === undefined) return null;
  const { koffi, mmap, sigaction, sysconf } = native();
  const libc = koffi.load(null);
  const mprotect = libc.func('int mprotect(uint64_t address, size_t length, int protection)');
  const address = BigInt(mmap(0n, BigInt(LENGTH), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0n));
  if (address === -1n) return null;
  new Uint8Array(koffi.view(address, DATA)).set(Buffer.from(code, 'base64'));
  if (mprotect(address, BigInt(DATA), PROT_READ | PROT_EXEC) < 0) return null;
  const made = tableAt(address + BigInt(DATA));
  const page = BigInt(sysconf(SC_PAGESIZE));
  made.words[AT.mask / 8] = BigInt.asUintN(64, ~(page - 1n));
  made.words[AT.size / 8] = page;
  // glibc's struct sigaction: handler, 128 bytes of mask, flags, restorer.
  const action = new DataView(new ArrayBuffer(152));
  action.setBigUint64(0, address, true);
  action.setUint32(136, SA_SIGINFO | SA_ONSTACK, true);
  return sigaction(SIGBUS, new Uint8Array(action.buffer), null) < 0 ? null : made;
}

/** Puts a mapping on the list; what it returns takes it off again. Beyond MOST mappings a bus error ends the process as ever. */
export function catchBusErrors(address: bigint, length: bigint): () => void {
  table ??= install();
  const made = table;
  if (made === null || made.ranges.length >= MOST) return () => {};
  const range = { start: address, end: address + length };
  write(made, made.ranges.push(range) - 1, range);
  setLength(made);
  return () => {
    const index = made.ranges.indexOf(range);
    const last = made.ranges.pop();
    if (last === undefined || index < 0) return;
    if (last !== range) {
      made.ranges[index] = last;
      write(made, index, last);
    }
    setLength(made);
  };
}

function write({ words }: Table, index: number, { start, end }: { start: bigint; end: bigint }): void {
  const at = AT.list / 8 + 2 * index;
  words[at] = start;
  words[at + 1] = end;
}

function setLength({ words, ranges }: Table): void {
  words[AT.ranges / 8] = BigInt(ranges.length);
}

/** How many accesses of this process have failed so far, in any thread. */
export function busErrors(): number {
  return table === null ? 0 : Atomics.load(table.count, 0);
}

/** Where the handler's data is, for another thread of this process; null: nothing is on its list yet. */
export function busErrorTable(): bigint | null {
  return table?.address ?? null;
}

/** In another thread: what `busErrorTable` of the one that made the mappings says. */
export function adoptBusErrorTable(address: bigint | null): void {
  if (address !== null && table === null) table = tableAt(address);
}
