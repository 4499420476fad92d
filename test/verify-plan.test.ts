import { describe, expect, test } from 'vitest';
import { ATTRIBUTES, MODELS, NESTED_PAGING, SOURCES, arm64, outcomesOf } from '../memattr/index.ts';
import type { ArchitectureModel, Attribute, Platform, Source } from '../memattr/index.ts';
import { ABI } from '../tool/verify/guest/abi.ts';
import type { Region } from '../vmm/memory/index.ts';
import { defaultMaps } from '../vmm/vfio/open-windows.ts';
import { cellOf, expectationOf, isSampled, mayKillVm, planChecks, runsOf } from '../tool/verify/plan.ts';
import type { PlannedCheck, PlannedWindow } from '../tool/verify/plan.ts';

const patched: Platform = { fwb: true, faultForwarding: true, mte: false };
const stock: Platform = { ...patched, faultForwarding: false };
const windows = (['device', 'wc', 'default'] as const).map((attribute, index) => ({
  bar: 2,
  offset: BigInt(index) << 20n,
  length: 1n << 20n,
  attribute,
  access: 'mapped' as const,
}));

describe('planned checks', () => {
  test('are every window, stage-1 type and probe, once', () => {
    const checks = planChecks(arm64, patched, 'cookie', windows);
    const keys = new Set(checks.map(({ window, stage1, probe }) => `${window} ${stage1.name} ${probe}`));
    expect(checks).toHaveLength(3 * arm64.stage1Types.length * arm64.probes.length);
    expect(keys.size).toBe(checks.length);
  });

  test('that cannot end the VM share one run', () => {
    expect(runsOf(planChecks(arm64, patched, 'cookie', windows))).toHaveLength(1);
  });

  test('that may end the VM have one each, and none is lost', () => {
    const checks = planChecks(arm64, stock, 'sysfs', windows);
    const runs = runsOf(checks);
    expect(runs.flat()).toHaveLength(checks.length);
    const deadly = runs.filter((run) => run.some(mayKillVm));
    expect(deadly.length).toBeGreaterThan(0);
    expect(deadly.filter(({ length }) => length > 1)).toEqual([]);
  });

  test('too many for one guest go to several', () => {
    const one = planChecks(arm64, patched, 'cookie', windows);
    const many = Array.from({ length: Math.ceil(ABI.maxCells / one.length) + 1 }, () => one).flat();
    const runs = runsOf(many);
    expect(runs.flat()).toHaveLength(many.length);
    for (const run of runs) expect(run.length).toBeLessThanOrEqual(ABI.maxCells);
  });

  test('become cells with the seed for data and repetitions for the rest', () => {
    const [check] = planChecks(arm64, patched, 'cookie', windows);
    if (check === undefined) throw new Error('no check');
    expect(cellOf({ ...check, probe: 'data-read' }, arm64.stage1Types, 7n)).toMatchObject({
      window: 0,
      stage1: 0,
      argument: 7n,
    });
    expect(cellOf({ ...check, probe: 'load-latency' }, arm64.stage1Types, 7n).argument).toBeGreaterThan(0n);
  });
});

function one(change: Partial<PlannedCheck>): PlannedCheck {
  const [check] = planChecks(arm64, patched, 'cookie', windows);
  if (check === undefined) throw new Error('no check');
  return { ...check, ...change };
}

function argument(change: Partial<PlannedCheck>): bigint {
  return cellOf(one(change), arm64.stage1Types, 7n).argument;
}

describe('what a check makes', () => {
  test.each([
    ['store-bandwidth', 'Normal-NC', true],
    ['load-latency', 'Normal-NC', true],
    ['store-bandwidth', 'trapped', false],
    ['load-latency', 'trapped', false],
    ['data-read', 'Normal-NC', false],
  ] as const)('%s of %s: accesses in large numbers: %s', (probe, stage2, sampled) => {
    expect(isSampled(one({ probe, stage2 }))).toBe(sampled);
    expect(runsOf([one({}), one({ probe, stage2 })], true)).toHaveLength(sampled ? 2 : 1);
    expect(runsOf([one({}), one({ probe, stage2 })])).toHaveLength(1);
  });

  test('is repeated where it measures, and once where each access is an exit', () => {
    for (const probe of ['store-bandwidth', 'load-latency'] as const) {
      expect(argument({ probe, stage2: 'Normal-NC' })).toBeGreaterThan(1n);
      expect(argument({ probe, stage2: 'trapped' })).toBe(1n);
      expect(argument({ probe, stage2: 'Normal-NC' })).not.toBe(7n);
    }
    expect([argument({ probe: 'data-read' }), argument({ probe: 'data-write', stage2: 'trapped' })]).toEqual([7n, 7n]);
  });
});

function plan(change: Partial<PlannedWindow>): readonly PlannedCheck[] {
  return planChecks(arm64, patched, 'cookie', [{ attribute: 'wc', access: 'mapped', ...change }]);
}

describe('a window', () => {
  test.each([
    [undefined, false],
    ['memory', false],
    ['loads', true],
    ['stores', true],
  ] as const)('that is touched as %s: registers: %s', (by, registers) => {
    const checks = plan(by === undefined ? {} : { by });
    expect(new Set(checks.map((check) => check.registers))).toEqual(new Set([registers]));
    const aborts = checks.some(({ prediction }) => outcomesOf(prediction)?.includes('external-abort') === true);
    expect(aborts).toBe(registers);
  });

  test('that traps is asked what can be asked of exits', () => {
    const checks = plan({ access: 'trapped', attribute: 'device' });
    expect(new Set(checks.map(({ stage2 }) => stage2))).toEqual(new Set(['trapped']));
    expect(new Set(checks.map(({ probe }) => probe))).toEqual(new Set(arm64.trapped.probes));
    const [check] = checks;
    expect(check?.effective).toBe(arm64.trapped.effective('device', 'cookie', patched));
    expect(check?.prediction).toEqual(check && arm64.trapped.predict(check.probe, check.stage1, patched));
    expect(expectationOf(arm64, patched, 'cookie', { attribute: 'device', access: 'trapped' }).strictness).toEqual(
      arm64.trapped.strictness('device', 'cookie', patched),
    );
  });
});

function regionOf(size: bigint): readonly Region[] {
  return [{ bar: 2, kind: 'memory', size, mmappable: [{ offset: 0n, length: size }] }];
}

function attributesFrom(source: Source): readonly string[] {
  return defaultMaps(source, regionOf(1n << 22n), 4096n).map(({ attribute }) => attribute);
}

/** The host's mapping and stage 2; null where the source gives no such attribute. */
function madeOf(model: ArchitectureModel, attribute: Attribute, source: Source): string | null {
  try {
    const stage2 = NESTED_PAGING.map((nestedPaging) => model.stage2(attribute, source, { ...patched, nestedPaging }));
    return [model.hostVma(attribute, source), ...stage2].join();
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

describe('default maps', () => {
  test('put all that a source can give side by side, over the whole BAR', () => {
    expect(attributesFrom('cookie')).toEqual(['device', 'wc', 'default']);
    expect(attributesFrom('legacy')).toEqual(['default']);
    expect(attributesFrom('sysfs')).toEqual(['device', 'wc']);
  });

  test.each(SOURCES)('of %s have every mapping that the models know', (source) => {
    const given = defaultMaps(source, regionOf(1n << 22n), 4096n).map(({ attribute }) => attribute);
    for (const model of Object.values(MODELS)) {
      const made = (attributes: readonly Attribute[]): ReadonlySet<string> =>
        new Set(attributes.flatMap((attribute) => madeOf(model, attribute, source) ?? []));
      expect(made(given)).toEqual(made(ATTRIBUTES));
    }
  });

  test('a BAR of less than four pages must be divided by the user', () => {
    expect(() => defaultMaps('cookie', regionOf(8192n), 4096n)).toThrow(/--map/);
  });

  test('a device without a BAR that can be mapped is refused', () => {
    expect(() => defaultMaps('cookie', [{ bar: 0, kind: 'io', size: 64n, mmappable: [] }], 4096n)).toThrow(
      /no memory BAR/,
    );
  });
});
