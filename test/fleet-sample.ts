/** Reports of hosts, and a profile that fits them. */
import type { Origin, Report } from '../tool/report/report.ts';
import { PROFILE_SCHEMA, parseProfile } from '../tool/fleet/profile.ts';
import type { Profile } from '../tool/fleet/profile.ts';
import { sampleReport, x86Report } from './report-sample.ts';

export const NOW = Date.parse('2026-11-21T12:00:00Z');

export function origin(change: Partial<Origin> = {}): Origin {
  return {
    host: 'as it calls itself',
    machine: 'Example M1',
    firmware: 'F 1.0',
    hypervisor: false,
    cpu: { model: '0x410fd4f1', stepping: 'r0p1', microcode: null },
    kernelBuild: 'Linux version 7.3.4-wcvmm',
    series: 'wcvmm',
    wcvmm: '0.1.0',
    time: '2026-11-21T11:00:00.000Z',
    asked: ['verify'],
    ...change,
  };
}

export function armReport(change: Partial<Report> = {}): Report {
  const report = sampleReport(change);
  return { origin: origin(), ...report };
}

export function amdReport(change: Partial<Report> = {}): Report {
  return { ...x86Report('npt'), origin: origin({ machine: 'Example A1' }), ...change };
}

const ARM = {
  match: { arch: 'arm64', machine: 'Example M1' },
  emulated: true,
  device: '1af4:1110',
  source: 'cookie',
  attributes: {
    device: { stage2: 'Device-nGnRE' },
    wc: { stage2: 'Normal-NC' },
    default: { stage2: ['Normal-NC', 'Device-nGnRE'] },
  },
};

const AMD = {
  match: { arch: 'x86', nestedPaging: 'npt' },
  attributes: {
    device: { stage2: 'NPT UC', hostMapping: 'UC', strict: false },
    wc: { stage2: 'NPT WC', hostMapping: 'WC' },
    default: { stage2: 'NPT WB' },
  },
  evidence: { programmed: true },
};

export const PROFILE_JSON = { schema: PROFILE_SCHEMA, maxAge: '24h', kinds: { 'arm.metal': ARM, 'amd.metal': AMD } };

export const profile: Profile = parseProfile(JSON.stringify(PROFILE_JSON));

/** The profile with another arm.metal, or fields of it. */
export function profileWith(change: object): Profile {
  return parseProfile(
    JSON.stringify({ ...PROFILE_JSON, kinds: { ...PROFILE_JSON.kinds, 'arm.metal': { ...ARM, ...change } } }),
  );
}
