/** What must have been found on each kind of instance: `wcvmm.profile/1`. docs/profile.schema.json is made of the schema here. */
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { WcvmmError } from '../../common/errors.ts';
import { line } from '../report/schema.ts';
import { DURATION } from './duration.ts';
import { ARCHES, MODELS, NESTED_PAGING, SOURCES, TRAPPED, kindOfType } from '../../memattr/index.ts';

export const PROFILE_SCHEMA = 'wcvmm.profile/1';

/** A profile is written by hand or by a program, and larger ones are neither. */
const MAX_SIZE = 8 << 20;

const text = v.pipe(line, v.minLength(1));
/** Every name that stage 2 has on some platform. */
const STAGE2_TYPES: ReadonlySet<string> = new Set([
  ...ARCHES.flatMap((arch) =>
    [true, false].flatMap((fwb) =>
      NESTED_PAGING.flatMap((nestedPaging) =>
        MODELS[arch].stage2Types({ fwb, faultForwarding: null, mte: false, nestedPaging }),
      ),
    ),
  ),
  TRAPPED,
]);

const stage2Type = v.pipe(
  text,
  v.check((name) => STAGE2_TYPES.has(name), `one of ${[...STAGE2_TYPES].join(', ')}`),
);
const hostType = v.pipe(
  text,
  v.check((name) => kindOfType(name) !== 'unknown', 'the name of a memory type, as reports have it'),
);

/** One value, or several that are equally good. */
function oneOrMore<T extends v.GenericSchema>(
  one: T,
): v.UnionSchema<
  [T, v.SchemaWithPipe<readonly [v.ArraySchema<T, undefined>, v.MinLengthAction<v.InferOutput<T>[], 1, undefined>]>],
  undefined
> {
  return v.union([one, v.pipe(v.array(one), v.minLength(1))]);
}

const attribute = v.strictObject({
  stage2: v.pipe(oneOrMore(stage2Type), v.description('memory type in stage 2; several: any of them')),
  hostMapping: v.exactOptional(v.pipe(oneOrMore(hostType), v.description("memory type of the host's own mapping"))),
  strict: v.exactOptional(v.pipe(v.boolean(), v.description('no guest can relax it'))),
});

const attributes = v.pipe(
  v.strictObject({
    default: v.exactOptional(attribute),
    device: v.exactOptional(attribute),
    wc: v.exactOptional(attribute),
  }),
  v.check((all) => Object.keys(all).length > 0, 'at least one attribute'),
);

const kind = v.strictObject({
  match: v.exactOptional(
    v.pipe(
      v.strictObject({
        arch: v.exactOptional(v.picklist(ARCHES)),
        vendor: v.exactOptional(text),
        nestedPaging: v.exactOptional(v.picklist(NESTED_PAGING)),
        machine: v.exactOptional(oneOrMore(text)),
        cpu: v.exactOptional(oneOrMore(text)),
        kernel: v.exactOptional(oneOrMore(text)),
        emulator: v.exactOptional(oneOrMore(text)),
      }),
      v.description('what a report of this kind says of its machine'),
    ),
  ),
  emulated: v.exactOptional(v.pipe(v.boolean(), v.description('true: an emulator may stand for the machine'))),
  device: v.exactOptional(v.pipe(oneOrMore(text), v.description('PCI vendor:device in hexadecimal'))),
  source: v.exactOptional(v.picklist(SOURCES)),
  attributes,
  evidence: v.exactOptional(
    v.pipe(
      v.strictObject({
        programmed: v.exactOptional(v.pipe(v.boolean(), v.description('stage 2 of every window was read back'))),
        observed: v.exactOptional(
          v.pipe(
            v.number(),
            v.safeInteger(),
            v.minValue(1),
            v.description('so many checks that can tell types apart, in every window'),
          ),
        ),
        whole: v.exactOptional(v.pipe(v.boolean(), v.description('every page of every window was touched'))),
      }),
      v.description('the least; a window of which nothing shows the type is never enough'),
    ),
  ),
  hazards: v.exactOptional(v.pipe(v.array(text), v.description('silicon hazards that are accepted, by id'))),
});

export const profileSchema = v.strictObject({
  schema: v.literal(PROFILE_SCHEMA),
  maxAge: v.exactOptional(
    v.pipe(
      v.string(),
      v.regex(DURATION, 'minutes, hours or days, as in 24h'),
      v.description('reports that are older count as none; as in 90m, 24h, 7d'),
    ),
  ),
  kinds: v.pipe(
    v.record(text, kind),
    v.check((kinds) => Object.keys(kinds).length > 0, 'at least one kind'),
  ),
});

export type Profile = v.InferOutput<typeof profileSchema>;
export type Kind = v.InferOutput<typeof kind>;
export type Expected = v.InferOutput<typeof attribute>;

/** Throws E_PROFILE naming the file and the first field that is wrong. */
export async function readProfile(path: string): Promise<Profile> {
  let read: string;
  try {
    read = await readFile(path, 'utf8');
  } catch (error) {
    throw new WcvmmError('E_PROFILE', `${path} cannot be read (${message(error)}); expected a profile.`, {
      cause: error,
    });
  }
  return parseProfile(read, path);
}

/** @throws WcvmmError E_PROFILE */
export function parseProfile(json: string, name = 'this'): Profile {
  const refusal = (what: string, cause?: unknown): WcvmmError =>
    new WcvmmError('E_PROFILE', `${name} is not a profile: ${what}. docs/fleet.md has an example.`, { cause });
  if (json.length > MAX_SIZE) throw refusal(`it has more than ${MAX_SIZE >> 20} MiB`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    throw refusal(`it is not JSON (${message(error)})`, error);
  }
  const result = v.safeParse(profileSchema, parsed, { abortEarly: true });
  if (!result.success) throw refusal(describe(deepest(result.issues[0])));
  return result.output;
}

type Issue = v.BaseIssue<unknown>;

/** Of a union's issue: that of the member that came furthest. */
function deepest(issue: Issue): Issue {
  const inner = (issue.issues ?? []).filter(({ path }) => (path?.length ?? 0) > 0);
  const [further] = inner.length > 0 ? inner : (issue.issues ?? []);
  if (further === undefined || issue.kind !== 'schema' || issue.type !== 'union') return issue;
  const path = [...(issue.path ?? []), ...(further.path ?? [])];
  const [first, ...rest] = path;
  return first === undefined ? further : { ...further, path: [first, ...rest] };
}

function describe(issue: Issue): string {
  const where = v.getDotPath(issue) ?? '';
  if (issue.type === 'strict_object' && issue.expected === 'never')
    return `${visible(where)} is no field that a profile has`;
  if (issue.received === 'undefined') return `${visible(where)} is missing`;
  const own = issue.type === 'regex' || issue.type === 'check';
  const expected = own ? issue.message : (issue.expected ?? issue.message);
  return `${where === '' ? 'the whole' : visible(where)} has ${visible(issue.received)}, expected ${expected}`;
}

function visible(shown: string): string {
  const plain = shown.replaceAll(/[^ -~]/g, '\u{FFFD}');
  return plain.length > 80 ? `${plain.slice(0, 77)}...` : plain;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
