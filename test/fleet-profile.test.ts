import { toJsonSchema } from '@valibot/to-json-schema';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { parseDuration } from '../tool/fleet/duration.ts';
import { parseHosts } from '../tool/fleet/hosts.ts';
import { parseProfile, profileSchema } from '../tool/fleet/profile.ts';
import { PROFILE_JSON } from './fleet-sample.ts';

const PUBLISHED = join(projectRoot, 'docs/profile.schema.json');

test('the published JSON Schema is what the reader checks', async () => {
  const { $schema, ...schema } = toJsonSchema(profileSchema, { target: 'draft-2020-12', ignoreActions: ['check'] });
  const published = {
    $schema,
    title: 'A profile of wcvmm',
    description:
      'What must have been found on each kind of instance. Beyond this schema, there is at least one kind, each has at least one attribute, and memory types are named as reports name them.',
    ...schema,
  };
  await expect(`${JSON.stringify(published, null, 2)}\n`).toMatchFileSnapshot(PUBLISHED);
});

test('the published JSON Schema takes a profile, and not one with a field that does not exist', () => {
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(
    JSON.parse(readFileSync(PUBLISHED, 'utf8')),
  );
  expect(validate(PROFILE_JSON)).toBe(true);
  expect(validate({ ...PROFILE_JSON, kind: {} })).toBe(false);
});

function changed(path: string, value: unknown): string {
  const copy: unknown = structuredClone(PROFILE_JSON);
  const keys = path.split('/');
  let at: unknown = copy;
  for (const key of keys.slice(0, -1)) at = Reflect.get(at as object, key);
  Reflect.set(at as object, keys.at(-1) ?? '', value);
  return JSON.stringify(copy);
}

describe('each bad profile has an error that says where and what', () => {
  test.each([
    ['no JSON', '{', 'it is not JSON'],
    ['no object', '[]', 'schema is missing'],
    ['no more than a number', '1', 'the whole has 1, expected Object'],
    ['no schema', changed('schema', undefined), 'schema is missing'],
    ['another schema', changed('schema', 'wcvmm.report/1'), 'schema has "wcvmm.report/1", expected "wcvmm.profile/1"'],
    ['no kinds', changed('kinds', undefined), 'kinds is missing'],
    ['no kind', changed('kinds', {}), 'kinds has Object, expected at least one kind'],
    [
      'a field that a typing error made',
      changed('kinds/arm.metal/atributes', {}),
      'kinds.arm.metal.atributes is no field',
    ],
    [
      'an age that is none',
      changed('maxAge', '1 day'),
      'maxAge has "1 day", expected minutes, hours or days, as in 24h',
    ],
    ['no attributes', changed('kinds/arm.metal/attributes', {}), 'expected at least one attribute'],
    [
      'an attribute that there is not',
      changed('kinds/arm.metal/attributes/uc', {}),
      'kinds.arm.metal.attributes.uc is no field',
    ],
    ['no stage 2', changed('kinds/arm.metal/attributes/wc', {}), 'kinds.arm.metal.attributes.wc.stage2 is missing'],
    [
      'a memory type that there is not',
      changed('kinds/arm.metal/attributes/wc/stage2', 'Normal-CN'),
      'kinds.arm.metal.attributes.wc.stage2 has "Normal-CN", expected one of Device-nGnRnE',
    ],
    [
      'no memory type among several',
      changed('kinds/arm.metal/attributes/wc/stage2', ['Normal-NC', 'WC']),
      'kinds.arm.metal.attributes.wc.stage2.1 has "WC", expected one of',
    ],
    [
      'an architecture that there is not',
      changed('kinds/arm.metal/match/arch', 'riscv'),
      'kinds.arm.metal.match.arch has "riscv"',
    ],
    ['what hosts may not be asked for', changed('kinds/arm.metal/match/hostname', 'x'), 'match.hostname is no field'],
    [
      'evidence of nothing',
      changed('kinds/arm.metal/evidence', { observed: 0 }),
      'evidence.observed has 0, expected >=1',
    ],
    [
      'text for a number',
      changed('kinds/arm.metal/evidence', { observed: 'all' }),
      'observed has "all", expected number',
    ],
    ['a line break', changed('kinds/arm.metal/match/machine', 'a\nb'), 'kinds.arm.metal.match.machine'],
  ])('%s', (_, json, why) => {
    expect(() => parseProfile(json, 'p.json')).toThrow(
      expect.objectContaining({ code: 'E_PROFILE', message: expect.stringContaining(why) }),
    );
    expect(() => parseProfile(json, 'p.json')).toThrow(/^p\.json is not a profile: .*docs\/fleet\.md/s);
  });
});

test('the list of hosts', () => {
  expect([...parseHosts('a k1 # one\n\n# none\n b\tk2\r\n', 'hosts')]).toEqual([
    ['a', 'k1'],
    ['b', 'k2'],
  ]);
  expect(() => parseHosts('a k1\nb\n', 'hosts')).toThrow('hosts, line 2: 1 words; expected "HOST KIND".');
  expect(() => parseHosts('a k1\na k2\n', 'hosts')).toThrow('hosts, line 2: the host is named twice');
  expect(() => parseHosts('# none\n', 'hosts')).toThrow('names no host');
});

test('ages', () => {
  expect(['1m', '90m', '24h', '7d'].map(parseDuration)).toEqual([60_000, 5_400_000, 86_400_000, 604_800_000]);
  expect(['', '0h', '1', 'h', '1.5h', '-1h', '1w'].map(parseDuration)).toEqual([
    null,
    null,
    null,
    null,
    null,
    null,
    null,
  ]);
});
