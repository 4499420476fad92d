import { toJsonSchema } from '@valibot/to-json-schema';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatReport } from '../tool/report/json.ts';
import type { Report } from '../tool/report/report.ts';
import { parseReport, reportSchema } from '../tool/report/schema.ts';
import { PUBLISHED_SCHEMA as path, publishedFaults } from './report-readers.ts';
import { benchReport, changeChecks, sampleReport, x86Report } from './report-sample.ts';

describe('the published JSON Schema', () => {
  it('is what the reader checks', async () => {
    const { $schema, ...schema } = toJsonSchema(reportSchema, { target: 'draft-2020-12' });
    const published = {
      $schema,
      title: 'A report of wcvmm',
      description:
        'Beyond this schema, each check names one of the windows, and the summary is that of the checks. Fields may be added; none changes its meaning.',
      ...schema,
    };
    expect($schema).toBe('https://json-schema.org/draft/2020-12/schema');
    await expect(`${JSON.stringify(published, null, 2)}\n`).toMatchFileSnapshot(path);
  });

  it.each<[string, Report]>([
    ['arm64', sampleReport()],
    ['x86 with NPT', x86Report('npt')],
    ['x86 with EPT', x86Report('ept', 'bochs-2.7')],
    [
      'no device',
      sampleReport({ device: { address: null, id: null, source: 'memory' }, limits: ['nothing of a device'] }),
    ],
    ['measurements', benchReport('an emulator')],
    ['skipped checks', changeChecks(sampleReport(), () => ({ observed: null, verdict: 'skipped', note: 'why' }))],
  ])('allows a report of %s', (_, report) => {
    expect(publishedFaults(JSON.parse(formatReport(report)))).toBeNull();
  });

  it('allows fields that a later version adds', () => {
    expect(publishedFaults({ ...sampleReport(), host: { name: 'later' } })).toBeNull();
  });

  it('refuses what the reader refuses, wherever in a report something is replaced', () => {
    const sample = sampleReport({ checks: sampleReport().checks.slice(0, 3) });
    const junk = fc.constantFrom<unknown>(null, true, -1, 0.5, 2 ** 53, 'x\u001B', '\u202E', 'x'.repeat(5000), {}, []);
    const paths = pathsOf(sample, []).filter(([first]) => first !== 'summary');
    fc.assert(
      fc.property(fc.constantFrom(...paths), junk, (at, value) => {
        const changed = replaced(sample, at, value);
        // What a schema cannot say is the reader's alone: those changes are left out.
        fc.pre(at[0] !== 'checks' || (at.length > 1 && at.at(-1) !== 'verdict' && at.at(-1) !== 'window'));
        fc.pre((at.length > 0 && at[0] !== 'windows') || at.length > 1);
        expect(publishedFaults(changed) === null).toBe(isRead(changed));
      }),
      { numRuns: 500 },
    );
  });
});

type Path = readonly (string | number)[];

function pathsOf(value: unknown, at: Path): readonly Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [
    at,
    ...Object.entries(value).flatMap(([key, inner]) =>
      pathsOf(inner, [...at, Array.isArray(value) ? Number(key) : key]),
    ),
  ];
}

function replaced(value: unknown, [key, ...rest]: Path, by: unknown): unknown {
  if (key === undefined) return by;
  const copy: unknown = structuredClone(value);
  if (typeof copy === 'object' && copy !== null) Reflect.set(copy, key, replaced(Reflect.get(copy, key), rest, by));
  return copy;
}

function isRead(report: unknown): boolean {
  try {
    parseReport(JSON.stringify(report));
    return true;
  } catch {
    return false;
  }
}
