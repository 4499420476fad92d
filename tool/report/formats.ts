/** What reports can be written as. Each writer is loaded on first use, so a run that only prints loads none. */
import type { NamedReport } from './machine.ts';

export type Format = 'json' | 'junit' | 'tap' | 'html';

interface Writer {
  /** For --help. */
  readonly what: string;
  /** @param reports one, or several to stand side by side */
  readonly write: (reports: readonly NamedReport[]) => Promise<string>;
  /** What `write` needs for one report: a process without rights can load nothing any more. */
  readonly load: () => Promise<unknown>;
}

export const FORMATS: Readonly<Record<Format, Writer>> = {
  json: {
    what: 'JSON',
    write: async (reports) => {
      const { formatComparison, formatReport } = await import('./json.ts');
      const [only] = reports;
      if (only !== undefined && reports.length === 1) return formatReport(only.report);
      return formatComparison((await import('./machines.ts')).compareMachines(reports));
    },
    load: () => import('./json.ts'),
  },
  junit: {
    what: 'JUnit XML',
    write: async (reports) => (await import('./junit.ts')).formatJunit(reports),
    load: () => import('./junit.ts'),
  },
  tap: {
    what: 'TAP 14',
    write: async (reports) => (await import('./tap.ts')).formatTap(reports),
    load: () => import('./tap.ts'),
  },
  html: {
    what: 'one self-contained HTML page',
    write: async (reports) => (await import('./html/page.ts')).formatHtml(reports),
    load: () => import('./html/page.ts'),
  },
};

export const FORMAT_NAMES = Object.keys(FORMATS) as readonly Format[];
