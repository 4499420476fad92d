/** Reports of a fleet against a profile: read one by one, and forgotten before the next is read. */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { WcvmmError } from '../../common/errors.ts';
import type { Report } from '../report/report.ts';
import { readReport } from '../report/read.ts';
import { factsOf } from './facts.ts';
import type { Hosts } from './hosts.ts';
import { judge, unknownKind } from './judge.ts';
import type { Judgement, Rules } from './judge.ts';
import { Tally } from './tally.ts';
import type { Fleet } from './tally.ts';

export interface FleetRequest {
  /** Reports, and folders: there every *.json is a report, and every *.error says why there is none. */
  readonly paths: readonly string[];
  readonly rules: Rules;
  /** null: whoever has a report is a host, and of the kind that it matches. */
  readonly hosts: Hosts | null;
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

/** Throws E_REPORT for a path that does not exist. A report that cannot be read is its host's failure, not the run's. */
export async function compareFleet({ paths, rules, hosts, onProgress, signal }: FleetRequest): Promise<Fleet> {
  const files = await reportsByHost(paths);
  const tally = new Tally();
  let done = 0;
  for (const [host, file] of files) {
    signal?.throwIfAborted();
    const { judgement, report } = await judged(host, file, rules, hosts);
    tally.add(host, judgement, report === null ? null : factsOf(report));
    done += 1;
    onProgress?.(done);
  }
  for (const [host, kind] of hosts ?? [])
    if (!files.has(host)) tally.add(host, { kind: known(kind, rules), ...notVerified(missing(kind, rules)) }, null);
  return tally.fleet();
}

async function judged(
  host: string,
  [path = '', ...others]: readonly string[],
  rules: Rules,
  hosts: Hosts | null,
): Promise<{ readonly judgement: Judgement; readonly report: Report | null }> {
  const listed = hosts?.get(host);
  const fails = (...reasons: readonly string[]): { readonly judgement: Judgement; readonly report: null } => ({
    judgement: { kind: listed === undefined ? null : known(listed, rules), ...notVerified(reasons) },
    report: null,
  });
  if (hosts !== null && listed === undefined) return fails('unknown kind: the list of hosts does not have it');
  if (others.length > 0) return fails('there is more than one report of it');
  if (path.endsWith(ERROR)) return fails(`no report: ${await firstLine(path)}`);
  try {
    const report = await readReport(path);
    return { judgement: judge(report, rules, listed), report };
  } catch (error) {
    if (!(error instanceof WcvmmError) || error.code !== 'E_REPORT') throw error;
    return fails('no report: the file is not a report that can be read');
  }
}

function missing(kind: string, { profile }: Rules): readonly string[] {
  return ['no report', ...(Object.hasOwn(profile.kinds, kind) ? [] : [unknownKind(kind)])];
}

function known(kind: string, { profile }: Rules): string | null {
  return Object.hasOwn(profile.kinds, kind) ? kind : null;
}

function notVerified(reasons: readonly string[]): Pick<Judgement, 'state' | 'reasons'> {
  return { state: 'not verified', reasons };
}

/** A host is called as its report's file is, without `.json`: who collected the report has named it, not the host. */
async function reportsByHost(paths: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const byHost = new Map<string, string[]>();
  for (const path of paths) {
    for (const file of await filesOf(path)) {
      const host = hostOf(file);
      const of = byHost.get(host);
      if (of === undefined) byHost.set(host, [file]);
      else if (!of.includes(file)) of.push(file);
    }
  }
  return byHost;
}

/** `.error`: in place of a report, what verify wrote to standard error. */
const ERROR = '.error';

function hostOf(file: string): string {
  return visible(basename(file).replace(/\.(?:json|error)$/, ''));
}

/** What must not reach a terminal is replaced. */
function visible(text: string): string {
  return text.replaceAll(/[^ -~]/g, '\u{FFFD}');
}

const LONGEST_ERROR = 300;

/** Of what is expected to be a few lines. */
async function firstLine(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4 * LONGEST_ERROR));
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
    const first = lines.find((line) => line.includes('E_')) ?? lines[0] ?? '';
    return visible(first.replace(/^wcvmm: /, '').trim()).slice(0, LONGEST_ERROR);
  } finally {
    await file.close();
  }
}

async function filesOf(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    return (await readdir(path)).filter((name) => /\.(?:json|error)$/.test(name)).map((name) => join(path, name));
  } catch (error) {
    throw new WcvmmError(
      'E_REPORT',
      `${path} cannot be read (${error instanceof Error ? error.message : String(error)}); expected a report or a folder of reports.`,
      { cause: error },
    );
  }
}
