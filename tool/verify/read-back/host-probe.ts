/**
 * What the host's own loads show of its mappings, on arm64: an unaligned one faults on Device memory and on no other. The kernel
 * shows the memory type of a user mapping nowhere. The loads are those of a program of its own (host-probe/), which may end by
 * them: a process of Node's cannot fork, and its threads cannot handle the fault.
 */
import { constants } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../../common/paths.ts';
import type { MemoryKind } from '../../../memattr/index.ts';
import { libcPort } from '../../../vmm/sys/libc.ts';
import { isErrno } from '../../../vmm/sys/port.ts';
import { pipe } from '../../../vmm/sys/sandbox-calls.ts';
import { isReadable, startProgram, waitForProgram } from '../../../vmm/sys/spawn.ts';
import type { ProgramEnd } from '../../../vmm/sys/spawn.ts';

/** Bytes from `offset` on of an open file, as mmap has it: at least a page. */
export interface ProbedPage {
  readonly fd: number;
  readonly offset: bigint;
}

/** `refused`: mmap's errno. `fault`: another signal than that of an unaligned access; its number and si_code. */
export type Load =
  { readonly kind: 'ok' } | { readonly kind: 'alignment-fault' } | { readonly kind: 'fault'; readonly signal: string };

export type PageLoads =
  | { readonly kind: 'refused'; readonly errno: number }
  | { readonly kind: 'loaded'; readonly aligned: Load; readonly unaligned: Load };

export type HostProbe =
  | { readonly kind: 'made'; readonly pages: readonly PageLoads[] }
  | { readonly kind: 'unavailable'; readonly why: string };

/** Makes the loads; in tests something else. */
export type ProbeHost = (pages: readonly ProbedPage[]) => HostProbe;

const PROGRAM = join(projectRoot, 'host-probe/build/host-probe');
/** Four loads take microseconds: this is for a device that never answers. */
const TIMEOUT_MS = 10_000;
/** The standard streams come first. */
const FIRST_FD = 3;
/** Of an answer: two words for each page, and not without end. */
const LONGEST = 1 << 16;

/** @param program in tests another one */
export function probeHost(pages: readonly ProbedPage[], program = PROGRAM): HostProbe {
  if (pages.length === 0) return { kind: 'made', pages: [] };
  let answer: ReturnType<typeof runProbe>;
  try {
    answer = runProbe(pages, program);
  } catch (error) {
    if (isErrno(error, 'ENOENT'))
      return { kind: 'unavailable', why: `${program} is not built; "npm run build" does that` };
    const why = error instanceof Error ? error.message : String(error);
    return { kind: 'unavailable', why: `${program} could not be run: ${why}` };
  }
  const { end, text } = answer;
  if (end.kind === 'killed' || end.code !== 0)
    return { kind: 'unavailable', why: `${program} ended with ${nameOf(end)} at one of its loads` };
  const made = parseProbed(text);
  return made.length === pages.length
    ? { kind: 'made', pages: made }
    : { kind: 'unavailable', why: `${program} answered for ${made.length} of ${pages.length} mappings` };
}

/** Throws SysError. */
function runProbe(pages: readonly ProbedPage[], program: string): { readonly end: ProgramEnd; readonly text: string } {
  const fds = [...new Set(pages.map(({ fd }) => fd))];
  const [answers, answer] = pipe();
  try {
    let pid: number;
    try {
      const args = pages.map(({ fd, offset }) => `${fds.indexOf(fd) + FIRST_FD}:${offset}`);
      pid = startProgram({ file: program, args, env: {}, fds: [null, answer, null, ...fds] });
    } finally {
      libcPort.close(answer);
    }
    const text = readAll(answers, TIMEOUT_MS);
    // It has ended, or does not do what it should.
    if (text === null) process.kill(pid, 'SIGKILL');
    return { end: waitForProgram(pid), text: text ?? '' };
  } finally {
    libcPort.close(answers);
  }
}

/** Null where it does not end in time. */
function readAll(fd: number, milliseconds: number): string | null {
  const [bytes, end] = [new Uint8Array(LONGEST), Date.now() + milliseconds];
  for (let at = 0; ;) {
    if (at === LONGEST || !isReadable(fd, end - Date.now())) return null;
    const got = libcPort.read(fd, bytes.subarray(at));
    if (got === 0) return Buffer.from(bytes.subarray(0, at)).toString('utf8');
    at += got;
  }
}

function nameOf(end: ProgramEnd): string {
  if (end.kind === 'ended') return `code ${end.code}`;
  const [name] = Object.entries(constants.signals).find(([, number]) => number === end.signal) ?? [
    `signal ${end.signal}`,
  ];
  return name;
}

const LINE = /^(?:refused (\d+)|(ok|\d+\/\d+) (ok|\d+\/\d+))$/;

/** The program's lines, up to the first that is none of its own. */
export function parseProbed(text: string): readonly PageLoads[] {
  const pages: PageLoads[] = [];
  for (const line of text.split('\n')) {
    const [matched, errno, aligned, unaligned] = LINE.exec(line) ?? [];
    if (matched === undefined) break;
    if (errno !== undefined) pages.push({ kind: 'refused', errno: Number(errno) });
    else if (aligned !== undefined && unaligned !== undefined)
      pages.push({ kind: 'loaded', aligned: loadOf(aligned), unaligned: loadOf(unaligned) });
  }
  return pages;
}

/** SIGBUS with BUS_ADRALN (include/uapi/asm-generic/siginfo.h): what Linux makes of an alignment fault. */
const ALIGNMENT = '7/1';

function loadOf(text: string): Load {
  if (text === 'ok') return { kind: 'ok' };
  return text === ALIGNMENT ? { kind: 'alignment-fault' } : { kind: 'fault', signal: text };
}

/** SIGBUS with BUS_OBJERR: a device that supports no such access was asked, so that the CPU had nothing against it. */
const EXTERNAL_ABORT = '7/3';

/** What the loads say of the page's memory type; null where they say nothing. */
export function kindShown(loads: PageLoads): MemoryKind | null {
  if (loads.kind === 'refused' || loads.aligned.kind !== 'ok') return null;
  switch (loads.unaligned.kind) {
    case 'ok':
      return 'Normal';
    case 'alignment-fault':
      return 'Device';
    case 'fault':
      return loads.unaligned.signal === EXTERNAL_ABORT ? 'Normal' : null;
  }
}
