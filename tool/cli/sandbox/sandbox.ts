/** The sandbox of verify, compare, bench and run: what is opened for later, and when this process gives up its rights. */
import { standardError, standardOutput } from '../../../common/output.ts';
import { Scope } from '../../../common/scope.ts';
import { loadParser } from '../../../common/structure.ts';
import { packageVersion } from '../../../common/version.ts';
import { libcPort } from '../../../vmm/sys/libc.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { restartWithoutIoUring } from '../../../vmm/sandbox/without-io-uring.ts';
import { enterSandbox } from '../../../vmm/sandbox/enter.ts';
import { keepOpen } from '../../../vmm/sandbox/kept-port.ts';
import type { Kept } from '../../../vmm/sandbox/kept-port.ts';
import { writeWhole } from '../../report/json.ts';
import { startHelper } from './helper.ts';
import { openReports } from './reports.ts';

export interface OpenSandbox {
  /** The process loses its rights when a guest is entered the first time through it. */
  readonly port: Port;
  /** As writeWhole, for one of the paths that the sandbox was opened with. */
  writeReport(path: string, text: string): Promise<void>;
}

export interface SandboxRequest {
  /** False for --no-sandbox. */
  readonly sandbox: boolean;
  readonly kept: Kept;
  /** Paths that will be written at the end. */
  readonly reports: readonly string[];
  /** False: no structure is read after a guest ran. Default: true. */
  readonly parses?: boolean;
  /** A PCI address: it is switched off through sysfs at the end. */
  readonly device?: string | null;
}

/**
 * What it opens lasts as long as the process: reports are the last that a process writes.
 *
 * @throws WcvmmError E_REPORT for a report that cannot be written, SysError
 */
export async function openSandbox({
  sandbox,
  kept,
  reports,
  parses = true,
  device = null,
}: SandboxRequest): Promise<OpenSandbox> {
  if (!sandbox) {
    standardError.write(`wcvmm: --no-sandbox: guests run in a process with ${rights()}\n`);
    return { port: libcPort, writeReport: writeWhole };
  }
  restartWithoutIoUring();
  const ends = new Scope();
  process.on('exit', () => ends.close());
  if (parses) loadParser();
  packageVersion();
  const opened = await openReports(reports);
  const isRoot = process.geteuid?.() === 0;
  const helper = isRoot || opened.placed.length > 0 ? startHelper(ends, opened.placed, device) : null;
  const { port, seal } = keepOpen(libcPort, ends, kept, helper);
  let entered = false;
  const beforeEntry = (): void => {
    if (entered) return;
    entered = true;
    for (const output of [standardOutput, standardError]) output.open();
    enterSandbox();
    seal();
  };
  return {
    port: { ...port, beforeEntry },
    writeReport: (path, text) => opened.write(path, text, (index) => helper?.place(index)),
  };
}

function rights(): string {
  return process.geteuid?.() === 0 ? 'all rights of root' : 'all rights of its user';
}
