import * as v from 'valibot';
import {
  ARCHES,
  ATTRIBUTES,
  BSA_RULES,
  HAZARDOUS,
  MEMORY_KINDS,
  NESTED_PAGING,
  OUTCOMES,
  PROBES,
  SOURCES,
  SPEAKS_OF,
} from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import { COMMANDS, NO_OUTCOME, QUANTITIES, SCHEMA, TOUCHED_BY, UNITS, VERDICTS, summarise } from './report.ts';
import type { Report } from './report.ts';
import { weighed } from './worth.ts';

/** Loaded only to read a report that somebody else wrote: valibot is not on the way of a run. */

const outcome = v.picklist(OUTCOMES);
const probe = v.picklist(PROBES);
const source = v.picklist(SOURCES);
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const bar = v.pipe(count, v.maxValue(5));
/**
 * One line of text that can move neither a terminal's cursor nor the direction of what stands beside it: no C0, C1,
 * line separators, directional marks. Written so that a JSON Schema can have the same.
 */
const ONE_LINE = String.raw`^[^\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]*$`;
export const line = v.pipe(
  v.string(),
  v.maxLength(4096),
  v.regex(new RegExp(ONE_LINE), 'one line without control characters'),
);
const evidence = {
  predicted: v.pipe(line, v.description('memory type, by the model')),
  programmed: v.pipe(v.nullable(line), v.description('memory type, read back from the kernel; null: not read back')),
};

/** More than any run has: a report's reader must not be made to draw without end. */
const MAX_WINDOWS = 256;
const MAX_CHECKS = 8192;
const MAX_FIGURES = 4096;
const MAX_LINES = 256;

const platform = v.looseObject({
  kind: v.picklist(['testbed', 'native']),
  emulator: v.pipe(v.nullable(line), v.description('such as qemu-10.0.2; null: real hardware')),
  kernel: line,
  cookies: v.boolean(),
  fwb: v.nullable(v.boolean()),
  faultForwarding: v.exactOptional(
    v.pipe(
      v.nullable(v.boolean()),
      v.description('arm64: KVM forwards alignment faults that stage 2 causes to the guest; null: not known'),
    ),
  ),
  vendor: v.exactOptional(line),
  nestedPaging: v.exactOptional(v.nullable(v.picklist(NESTED_PAGING))),
  iommu: v.exactOptional(
    v.pipe(v.boolean(), v.description('false: VFIO is in its no-IOMMU mode, and the device cannot reach guest RAM')),
  ),
});

const origin = v.looseObject({
  host: v.nullable(line),
  machine: v.pipe(v.nullable(line), v.description('by its firmware: vendor and product')),
  firmware: v.nullable(line),
  hypervisor: v.pipe(v.nullable(v.boolean()), v.description('the kernel runs below one; null: it does not say')),
  confidential: v.exactOptional(
    v.pipe(v.nullable(line), v.description('the kind of confidential guest that the kernel runs in')),
  ),
  cpu: v.looseObject({ model: v.nullable(line), stepping: v.nullable(line), microcode: v.nullable(line) }),
  kernelBuild: v.nullable(line),
  series: v.pipe(v.nullable(line), v.description("the project's patches, by the kernel's release")),
  wcvmm: v.pipe(line, v.description('version')),
  time: v.pipe(line, v.description('ISO 8601, UTC')),
  asked: v.pipe(v.array(line), v.maxLength(MAX_LINES), v.description("the command's arguments")),
});

const window = v.looseObject({
  bar,
  offset: v.pipe(count, v.description('bytes')),
  length: v.pipe(count, v.minValue(1), v.description('bytes')),
  attribute: v.picklist(ATTRIBUTES),
  hostVma: v.looseObject({
    ...evidence,
    reserved: v.exactOptional(v.pipe(v.array(line), v.maxLength(MAX_LINES))),
    observed: v.exactOptional(
      v.pipe(v.picklist(MEMORY_KINDS), v.description("arm64: what an unaligned load of the host's own showed")),
    ),
  }),
  stage2: v.looseObject({ ...evidence, blockSize: v.nullable(count) }),
  guestTypes: v.exactOptional(
    v.pipe(
      v.array(line),
      v.maxLength(MAX_LINES),
      v.description("x86, a Linux guest: memory types that the guest's own drivers have on record for the window"),
    ),
  ),
  coverage: v.exactOptional(
    v.looseObject({
      pageSize: v.pipe(count, v.description('bytes')),
      pages: count,
      touched: count,
      unlike: v.pipe(count, v.description('touched pages whose load was not as predicted')),
      readBack: v.pipe(v.nullable(count), v.description('pages that stage 2 maps; null: it was not read back')),
    }),
  ),
  touched: v.exactOptional(
    v.looseObject({
      by: v.picklist(TOUCHED_BY),
      offsets: v.pipe(v.array(count), v.maxLength(MAX_LINES), v.description('bytes from the start of the BAR')),
      bytes: v.pipe(count, v.description('from each of the offsets, at most')),
    }),
  ),
  hazards: v.exactOptional(
    v.pipe(
      v.array(line),
      v.maxLength(MAX_LINES),
      v.description('ids of the hazards that the types of the window have'),
    ),
  ),
  control: v.exactOptional(
    v.pipe(v.literal(true), v.description('asked for comparison: ordinary memory, of which everything is known')),
  ),
  source: v.exactOptional(source),
  strictness: v.exactOptional(v.looseObject({ strict: v.boolean(), why: line })),
  mtrr: v.exactOptional(v.nullable(line)),
  trapped: v.exactOptional(v.looseObject({ exits: count })),
});

const amount = v.pipe(v.number(), v.minValue(0), v.maxValue(1e15));
const interval = v.looseObject({ low: amount, high: amount });

const hazard = v.looseObject({
  id: line,
  silicon: line,
  affects: v.picklist(HAZARDOUS),
  certain: v.pipe(v.boolean(), v.description('false: the machine says too little of itself to be sure')),
  what: line,
});

const check = v.looseObject({
  window: v.pipe(count, v.description('index into windows')),
  offset: v.exactOptional(v.pipe(count, v.description('in the window, bytes; absent: at its start'))),
  stage1: v.pipe(line, v.description('memory type in the tables of the guest')),
  probe,
  effective: v.pipe(line, v.description('memory type that stage 1 and stage 2 combine to, by the model')),
  predicted: v.union([outcome, v.picklist(NO_OUTCOME)]),
  alternatives: v.exactOptional(
    v.pipe(
      v.array(outcome),
      v.maxLength(OUTCOMES.length),
      v.description('outcomes as good as the predicted one: what decides between them is not known of the platform'),
    ),
  ),
  observed: v.pipe(v.nullable(outcome), v.description('by the guest; null: the check was not reached')),
  verdict: v.picklist(VERDICTS),
  note: v.pipe(v.nullable(line), v.description('why, where the verdict is not match')),
  speaksOf: v.exactOptional(
    v.pipe(v.picklist(SPEAKS_OF), v.description('what the check is evidence of, if it matches')),
  ),
  excludes: v.exactOptional(
    v.pipe(
      v.array(line),
      v.maxLength(MAX_LINES),
      v.description('stage-2 types that would have had to show something else; some where speaksOf is type'),
    ),
  ),
  rules: v.exactOptional(
    v.pipe(
      v.array(v.picklist(BSA_RULES)),
      v.maxLength(BSA_RULES.length),
      v.description("rules of Arm's Base System Architecture that the check answers"),
    ),
  ),
  measured: v.exactOptional(v.looseObject({ amount: count, ticks: count, ticksPerSecond: count })),
  busLocks: v.exactOptional(count),
  combined: v.exactOptional(v.pipe(line, v.description('memory type that stage 1 and stage 2 combine to, by the CPU'))),
  timing: v.exactOptional(
    v.pipe(
      v.looseObject({ loads: interval, stores: interval }),
      v.description('how many times as long accesses take that the guest makes uncached'),
    ),
  ),
  accesses: v.exactOptional(
    v.pipe(
      v.looseObject({ combining: count, uncached: count }),
      v.description('AMD: how many of the accesses that were sampled the CPU recorded as what'),
    ),
  ),
});

const words = v.pipe(count, v.minValue(8), v.maxValue(4096), v.description('bytes'));

const figure = v.looseObject({
  window: v.pipe(count, v.description('index into windows')),
  stage1: line,
  effective: line,
  quantity: v.picklist(QUANTITIES),
  size: words,
  stride: words,
  unit: v.picklist(UNITS),
  median: amount,
  low: v.pipe(amount, v.description('the lower quartile')),
  high: v.pipe(amount, v.description('the upper quartile')),
  repetitions: count,
});

const bench = v.looseObject({
  meaningless: v.pipe(
    v.nullable(line),
    v.description('why the figures say nothing about hardware; null: they are of hardware'),
  ),
  runs: count,
  figures: v.pipe(v.array(figure), v.maxLength(MAX_FIGURES)),
});

/**
 * Known fields strictly, added fields kept: `looseObject`, because a newer writer may know more. docs/report.schema.json is
 * made of this; `npx vitest run test/report-schema.test.ts -u` makes it again.
 */
export const reportSchema = v.looseObject({
  schema: v.literal(SCHEMA),
  command: v.picklist(COMMANDS),
  arch: v.picklist(ARCHES),
  origin: v.exactOptional(origin),
  platform,
  device: v.looseObject({
    address: v.pipe(v.nullable(line), v.description('PCI address; null: memory instead of a BAR')),
    id: v.pipe(v.nullable(line), v.description('PCI vendor:device in hexadecimal')),
    source,
    bars: v.exactOptional(
      v.pipe(v.array(v.looseObject({ bar, size: v.pipe(count, v.description('bytes')) })), v.maxLength(6)),
    ),
  }),
  guest: v.exactOptional(
    v.pipe(
      v.looseObject({
        kind: v.literal('linux'),
        kernel: v.pipe(line, v.description('its release, as the guest says')),
        initSeconds: v.pipe(v.number(), v.minValue(0), v.description("by the guest's clock, when its /init began")),
        files: v.pipe(v.array(v.looseObject({ stage1: line, file: line })), v.maxLength(MAX_LINES)),
      }),
      v.description('who observed; absent: bare-metal guests'),
    ),
  ),
  windows: v.pipe(v.array(window), v.maxLength(MAX_WINDOWS)),
  checks: v.pipe(v.array(check), v.maxLength(MAX_CHECKS)),
  hazards: v.exactOptional(
    v.pipe(v.array(hazard), v.maxLength(MAX_LINES), v.description('memory types that do harm on this silicon')),
  ),
  limits: v.exactOptional(
    v.pipe(v.array(line), v.maxLength(MAX_LINES), v.description('what the report does not prove, and why')),
  ),
  bench: v.exactOptional(bench),
  summary: v.pipe(
    v.looseObject({ match: count, mismatch: count, unobservable: count, erratum: count, skipped: count }),
    v.description('of the checks, by verdict'),
  ),
});

/**
 * A report from its JSON text. The summary must be that of the checks: a script may read only the summary, and must not
 * read anything else there than the checks say.
 *
 * Checks of a report that does not say what they are worth are weighed (worth.ts), which may change their verdicts and the summary.
 *
 * @param name of the file, for the error
 * @throws WcvmmError E_REPORT naming the first field that is wrong
 */
export function parseReport(text: string, name = 'this'): Report {
  const refusal = (what: string, cause?: unknown): WcvmmError =>
    new WcvmmError('E_REPORT', `${name} is not a report that this version of wcvmm reads: ${what}`, { cause });
  const json = parseJson(text, refusal);
  const schema = schemaOf(json);
  if (schema !== null && schema !== SCHEMA)
    throw refusal(
      `its schema is ${schema}, expected ${SCHEMA}. ${ADVICE[schema] ?? 'If a newer wcvmm wrote it, read it with that one'}`,
    );
  const result = v.safeParse(reportSchema, json, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    throw refusal(
      `its field ${v.getDotPath(issue) ?? '(the whole)'} has ${shorten(issue.received)}, expected ${issue.type === 'regex' ? issue.message : (issue.expected ?? issue.message)}`,
    );
  }
  const report: Report = result.output;
  for (const [what, list] of [
    ['check', report.checks],
    ['figure', report.bench?.figures ?? []],
  ] as const) {
    const stray = list.findIndex(({ window }) => window >= report.windows.length);
    if (stray >= 0)
      throw refusal(
        `its ${what} ${stray} refers to window ${list[stray]?.window}, and there are ${report.windows.length}`,
      );
  }
  const sums = summarise(report.checks);
  for (const [verdict, sum] of Object.entries(sums)) {
    const said = report.summary[verdict as keyof typeof sums];
    if (said !== sum) throw refusal(`its summary counts ${said} ${verdict}, its checks ${sum}`);
  }
  return weighed(report);
}

/** What else wcvmm writes, and what to do with it. */
const ADVICE: Readonly<Record<string, string>> = {
  'wcvmm.run/1': 'That is what "wcvmm run" writes; reports come from verify, compare and bench',
  'wcvmm.comparison/1': 'That is a comparison; give the reports that it was made of',
};

/** Only a name that is fit to be shown. */
function schemaOf(json: unknown): string | null {
  if (typeof json !== 'object' || json === null || !('schema' in json)) return null;
  return typeof json.schema === 'string' && /^wcvmm\.[a-z]{1,20}\/[0-9]{1,4}$/.test(json.schema) ? json.schema : null;
}

function parseJson(text: string, refusal: (what: string, cause: unknown) => WcvmmError): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refusal('it is not JSON', error);
  }
}

/** valibot quotes what it found, which may be long or hostile; JSON's quoting leaves C1 controls and directions as they are. */
function shorten(received: string): string {
  const visible = received.replaceAll(/[^ -~]/g, '\u{FFFD}');
  return visible.length > 80 ? `${visible.slice(0, 77)}...` : visible;
}
