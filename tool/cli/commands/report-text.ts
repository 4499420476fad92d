import type { Command, Report } from '../../report/report.ts';
import type { Style } from '../../../common/terminal.ts';

/** A report as the command that made it prints it. */
export async function renderAs(command: Command, report: Report, style: Style): Promise<string> {
  switch (command) {
    case 'run':
    case 'verify':
      return (await import('../../report/text.ts')).renderReport(report, style);
    case 'compare':
      return (await import('../../report/compare.ts')).renderCompare(report, style);
    case 'bench':
      return (await import('../../report/bench.ts')).renderBench(report, style);
  }
}

/** What `renderAs` needs, for a process that can load nothing when it is to render. */
export async function loadRenderer(command: Command): Promise<void> {
  switch (command) {
    case 'run':
    case 'verify':
      await import('../../report/text.ts');
      break;
    case 'compare':
      await import('../../report/compare.ts');
      break;
    case 'bench':
      await import('../../report/bench.ts');
  }
}
