/**
 * What the host's own loads show of its mappings, on arm64: an unaligned one faults on Device memory and on no other. The kernel
 * shows the memory type of a user mapping nowhere. The loads are those of a program of its own (host-probe/), which may end by
 * them: a process of Node's cannot fork, and its threads cannot handle the fault.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { projectRoot } from '../../../common/paths.ts';
import type { MemoryKind } from '../../../memattr/index.ts';

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

export const probeHost: ProbeHost = (pages) => {
  if (pages.length === 0) return { kind: 'made', pages: [] };
  const fds = [...new Set(pages.map(({ fd }) => fd))];
  const { error, status, signal, stdout } = spawnSync(
    PROGRAM,
    pages.map(({ fd, offset }) => `${fds.indexOf(fd) + FIRST_FD}:${offset}`),
    { stdio: ['ignore', 'pipe', 'ignore', ...fds], timeout: TIMEOUT_MS, encoding: 'utf8', env: {} },
  );
  if (error !== undefined && 'code' in error && error.code === 'ENOENT')
    return { kind: 'unavailable', why: `${PROGRAM} is not built; "npm run build" does that` };
  if (error !== undefined) return { kind: 'unavailable', why: `${PROGRAM} could not be run: ${error.message}` };
  if (status !== 0)
    return { kind: 'unavailable', why: `${PROGRAM} ended with ${signal ?? `code ${status}`} at one of its loads` };
  const made = parseProbed(stdout);
  return made.length === pages.length
    ? { kind: 'made', pages: made }
    : { kind: 'unavailable', why: `${PROGRAM} answered for ${made.length} of ${pages.length} mappings` };
};

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
