import * as v from 'valibot';
import { PROBES } from '../../memattr/index.ts';
import { WcvmmError } from '../errors.ts';
import { type GuestOutcome, OUTCOME_NUMBER } from '../guest/abi.ts';
import { type Report, SCHEMA, VERDICTS, summarise } from './report.ts';

/** Loaded only to read a report that somebody else wrote: valibot is not on the way of a run. */

const outcome = v.picklist([...(Object.keys(OUTCOME_NUMBER) as GuestOutcome[]).filter((name) => name !== 'bad-cell'), 'vm-killed']);
const probe = v.picklist(PROBES);
const source = v.picklist(['cookie', 'legacy', 'sysfs', 'memory']);
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const evidence = { predicted: v.string(), programmed: v.nullable(v.string()) };

/** Known fields strictly, added fields kept: `looseObject`, because a newer writer may know more. */
const reportSchema = v.looseObject({
  schema: v.literal(SCHEMA),
  command: v.picklist(['run', 'verify', 'compare']),
  arch: v.picklist(['arm64', 'x86']),
  platform: v.looseObject({
    kind: v.picklist(['testbed', 'native']),
    emulator: v.nullable(v.string()),
    kernel: v.string(),
    cookies: v.boolean(),
    fwb: v.nullable(v.boolean()),
    vendor: v.exactOptional(v.string()),
    nestedPaging: v.exactOptional(v.nullable(v.picklist(['ept', 'npt']))),
  }),
  device: v.looseObject({
    address: v.nullable(v.string()),
    id: v.nullable(v.string()),
    source,
  }),
  windows: v.array(
    v.looseObject({
      bar: v.pipe(count, v.maxValue(5)),
      offset: count,
      length: v.pipe(count, v.minValue(1)),
      attribute: v.picklist(['default', 'device', 'wc']),
      hostVma: v.looseObject({ ...evidence, reserved: v.exactOptional(v.array(v.string())) }),
      stage2: v.looseObject({ ...evidence, blockSize: v.nullable(count) }),
      source: v.exactOptional(source),
      strictness: v.exactOptional(v.looseObject({ strict: v.boolean(), why: v.string() })),
      mtrr: v.exactOptional(v.nullable(v.string())),
    }),
  ),
  checks: v.array(
    v.looseObject({
      window: count,
      stage1: v.string(),
      probe,
      effective: v.string(),
      predicted: v.union([outcome, v.picklist(['any', 'measurement'])]),
      observed: v.nullable(outcome),
      verdict: v.picklist(VERDICTS),
      note: v.nullable(v.string()),
      measured: v.exactOptional(v.looseObject({ amount: count, ticks: count, ticksPerSecond: count })),
      busLocks: v.exactOptional(count),
    }),
  ),
  limits: v.exactOptional(v.array(v.string())),
  summary: v.looseObject({ match: count, mismatch: count, unobservable: count, erratum: count, skipped: count }),
});

/**
 * A report from its JSON text. The summary must be that of the checks: whoever reads only the summary, as a script
 * may, must not be told something else than the checks say.
 *
 * @throws WcvmmError E_REPORT naming the first field that is wrong
 */
export function parseReport(text: string): Report {
  const result = v.safeParse(reportSchema, parseJson(text), { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    throw refusal(`its field ${v.getDotPath(issue) ?? '(the whole)'} has ${issue.received}, expected ${issue.expected ?? issue.message}`);
  }
  const report: Report = result.output;
  const stray = report.checks.findIndex(({ window }) => window >= report.windows.length);
  if (stray >= 0) throw refusal(`its check ${stray} is about window ${report.checks[stray]?.window}, and it has ${report.windows.length}`);
  const sums = summarise(report.checks);
  for (const [verdict, sum] of Object.entries(sums)) {
    const said = report.summary[verdict as keyof typeof sums];
    if (said !== sum) throw refusal(`its summary counts ${said} ${verdict}, its checks ${sum}`);
  }
  return report;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refusal('it is not JSON', error);
  }
}

function refusal(what: string, cause?: unknown): WcvmmError {
  return new WcvmmError('E_REPORT', `this is not a report of wcvmm that this version reads: ${what}`, { cause });
}
