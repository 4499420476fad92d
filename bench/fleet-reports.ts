/** Reports of a fleet that there is not, as hosts of many kinds would write them, and the profile that they are compared with. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { outcomesOf, x86 } from '../memattr/index.ts';
import type { Platform } from '../memattr/index.ts';
import { PROFILE_SCHEMA } from '../tool/fleet/profile.ts';
import { formatReport } from '../tool/report/json.ts';
import { summarise } from '../tool/report/report.ts';
import type { Check, Report, ReportWindow } from '../tool/report/report.ts';
import { weighed } from '../tool/report/worth.ts';

export interface GeneratedFleet {
  /** Folder of the reports. */
  readonly reports: string;
  readonly profile: string;
  /** With oddities, one more than there are reports. */
  readonly hosts: string;
}

const PLATFORM: Platform = { fwb: null, faultForwarding: false, mte: false, nestedPaging: 'npt', mtrr: 'UC' };
const ATTRIBUTES = ['device', 'wc'] as const;

/** With oddities, one in so many hosts has older firmware, another type, or a report of last year. */
const ODD = { firmware: 97, type: 211, stale: 499 } as const;

const HOST = '@host@';

export function writeFleet(folder: string, reports: number, kinds: number, hasOddities: boolean): GeneratedFleet {
  const isOdd = (host: number, what: keyof typeof ODD): boolean => hasOddities && host % ODD[what] === 1;
  const fleet = {
    reports: join(folder, 'reports'),
    profile: join(folder, 'profile.json'),
    hosts: join(folder, 'hosts.txt'),
  };
  mkdirSync(fleet.reports, { recursive: true });
  const names = Array.from({ length: kinds }, (_, kind) => `kind-${kind}.metal`);
  writeFileSync(
    fleet.profile,
    JSON.stringify({
      schema: PROFILE_SCHEMA,
      maxAge: '24h',
      kinds: Object.fromEntries(names.map((name) => [name, kindNamed(name)])),
    }),
  );
  const base = reportOf();
  const now = new Date().toISOString();
  const lines: string[] = [];
  for (let host = 0; host < reports; host++) {
    const kind = names[host % kinds] ?? '';
    const name = `host-${String(host).padStart(5, '0')}`;
    lines.push(`${name} ${kind}`);
    const time = isOdd(host, 'stale') ? '2025-01-01T00:00:00.000Z' : now;
    const text = base
      .replaceAll(HOST, name)
      .replace('"@machine@"', JSON.stringify(kind))
      .replace('@firmware@', isOdd(host, 'firmware') ? 'F 1.0' : 'F 1.1')
      .replace('@time@', time);
    const isWrong = isOdd(host, 'type');
    writeFileSync(
      join(fleet.reports, `${name}.json`),
      isWrong ? text.replace('"programmed":"NPT WC"', '"programmed":"NPT UC"') : text,
    );
  }
  writeFileSync(fleet.hosts, `${[...lines, ...(hasOddities ? [`host-gone ${names[0] ?? ''}`] : [])].join('\n')}\n`);
  return fleet;
}

function kindNamed(machine: string): object {
  const attributes = Object.fromEntries(
    ATTRIBUTES.map((attribute) => [
      attribute,
      { stage2: x86.stage2(attribute, 'cookie', PLATFORM), hostMapping: x86.hostVma(attribute, 'cookie') },
    ]),
  );
  return { match: { arch: 'x86', machine }, attributes, evidence: { programmed: true } };
}

function reportOf(): string {
  const windows = ATTRIBUTES.map((attribute, index): ReportWindow => {
    const [host, stage2] = [x86.hostVma(attribute, 'cookie'), x86.stage2(attribute, 'cookie', PLATFORM)];
    return {
      bar: 2,
      offset: index << 20,
      length: 1 << 20,
      attribute,
      hostVma: { predicted: host, programmed: host },
      stage2: { predicted: stage2, programmed: stage2, blockSize: 4096 },
    };
  });
  const checks = windows.flatMap(({ stage2 }, window) =>
    x86.stage1Types.flatMap((stage1) =>
      x86.probes.map((probe): Check => {
        const prediction = x86.predict(probe, stage1, stage2.predicted, PLATFORM);
        const [known] = outcomesOf(prediction) ?? [];
        return {
          window,
          stage1: stage1.name,
          probe,
          effective: x86.effective(stage1, stage2.predicted, PLATFORM),
          predicted: known ?? (prediction.kind === 'measurement' ? 'measurement' : 'any'),
          observed: known ?? 'ok',
          verdict: known === undefined ? 'unobservable' : 'match',
          note: known === undefined ? prediction.why : null,
        };
      }),
    ),
  );
  const report: Report = {
    schema: 'wcvmm.report/1',
    command: 'verify',
    arch: 'x86',
    origin: {
      host: HOST,
      machine: '@machine@',
      firmware: '@firmware@',
      hypervisor: false,
      cpu: { model: 'a processor', stepping: '1', microcode: '0x1' },
      kernelBuild: 'Linux version 7.3.4-wcvmm',
      series: 'wcvmm',
      wcvmm: '0.1.0',
      time: '@time@',
      asked: ['verify'],
    },
    platform: { kind: 'native', emulator: null, kernel: '7.3.4-wcvmm', cookies: true, fwb: null, nestedPaging: 'npt' },
    device: { address: '0000:01:00.0', id: '1d0f:efa1', source: 'cookie' },
    windows,
    checks,
    summary: summarise(checks),
  };
  return formatReport(weighed(report));
}
