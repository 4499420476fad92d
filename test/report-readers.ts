/** Readers of what the reporters write, which take nothing from the writers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { projectRoot } from '../common/paths.ts';

export const PUBLISHED_SCHEMA = join(projectRoot, 'docs/report.schema.json');

let validate: ReturnType<Ajv2020['compile']> | undefined;

/** What the published JSON Schema has against a report; null: nothing. */
export function publishedFaults(report: unknown): string | null {
  validate ??= new Ajv2020({ strict: true }).compile(JSON.parse(readFileSync(PUBLISHED_SCHEMA, 'utf8')));
  return validate(report) ? null : JSON.stringify(validate.errors);
}

/** What keeps `xml` from being well-formed: elements that do not close in order, attributes without quotes, no characters. */
export function xmlFault(xml: string): string | null {
  const body = xml.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, '');
  const foreign = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u.exec(body);
  if (foreign !== null) return `a character that XML has not at ${foreign.index}`;
  const open: string[] = [];
  const tags = /<(?<close>\/?)(?<name>[a-z]+)(?: [a-z]+="(?:[^<&"]|&[a-z#0-9]+;)*")*(?<empty>\/?)>/g;
  for (const { groups } of body.matchAll(tags)) {
    if (groups?.['close'] === '/') {
      const last = open.pop();
      if (last !== groups['name']) return `${groups['name'] ?? ''} ends inside of ${last ?? 'nothing'}`;
    } else if (groups?.['empty'] === '') open.push(groups['name'] ?? '');
  }
  if (open.length > 0) return `${open.join(' ')} has no end`;
  return /[<>"]/.test(body.replaceAll(tags, '')) ? 'markup that is none' : null;
}

interface Point {
  readonly ok: boolean;
  readonly directive: string;
}

/**
 * TAP 14 as its specification has it: a directive stands after the first `#` that no backslash escapes; a subtest stands
 * before its own point. Throws where a plan, a number or a line is not as it must be.
 */
export function readTap(tap: string): readonly (Point & { readonly subtests: readonly Point[] })[] {
  const [version, plan, ...lines] = tap.trimEnd().split('\n');
  if (version !== 'TAP version 14') throw new Error(`no TAP 14: ${version ?? ''}`);
  const found: (Point & { subtests: readonly Point[] })[] = [];
  let subtests: Point[] = [];
  let planned = '';
  for (const line of lines) {
    const inner = line.startsWith('    ');
    if (inner && /^ {4}1\.\.\d+$/.test(line)) planned = line.trim();
    const point = /^ *(?<not>not )?ok (?<number>\d+) - (?:[^#\\]|\\.)*(?:# (?<directive>SKIP|TODO) .*)?$/.exec(
      line,
    )?.groups;
    if (point === undefined) {
      if (/^ *(not )?ok/.test(line)) throw new Error(`no test point: ${line}`);
      continue;
    }
    const list = inner ? subtests : found;
    if (Number(point['number']) !== list.length + 1) throw new Error(`out of order: ${line}`);
    const read: Point = { ok: point['not'] === undefined, directive: point['directive'] ?? '' };
    if (inner) {
      subtests.push(read);
      continue;
    }
    if (planned !== `1..${subtests.length}`) throw new Error(`planned ${planned}, ran ${subtests.length}`);
    found.push({ ...read, subtests });
    subtests = [];
  }
  if (plan?.replace(/ # SKIP .*$/, '') !== `1..${found.length}`)
    throw new Error(`planned ${plan ?? ''}, ran ${found.length}`);
  return found;
}
