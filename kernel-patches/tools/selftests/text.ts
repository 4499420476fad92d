import type { KernelVariant } from '../../../testbed/machine/machine.ts';
import { totalsOf, type Comparison } from './compare.ts';
import type { KernelResults } from './index.ts';
import type { Result } from './transcript.ts';

/** A line for each program; below it its failures, and why tests were skipped. */
export function kernelText(arch: string, { kernel, results }: KernelResults): string {
  const lines = [`${arch}, ${kernel} kernel`];
  for (const [program, found] of grouped(results, (result) => result.program))
    lines.push(row(nameOfProgram(program, found), found), ...details(found));
  lines.push(row('all', results), '');
  return asText(lines);
}

/** What `second` does as `first` does, what it has more, and every difference. */
export function comparisonText(
  first: KernelVariant,
  second: KernelVariant,
  { same, gained, different }: Comparison,
): string {
  const lines = [
    `${second} does what ${first} does: ${inWords(same)}`,
    `${second} passes where ${first} has nothing to test: ${inWords(gained)}`,
  ];
  for (const [program, found] of grouped(gained, (result) => result.program))
    lines.push(`  ${program}: ${found.length}`);
  lines.push(different.length === 1 ? '1 difference' : `${different.length || 'no'} differences`);
  for (const { before, after } of different)
    lines.push(`  ${nameOfTest(before ?? after)}: ${first} ${inAWord(before)}, ${second} ${inAWord(after)}`);
  return asText(lines);
}

function row(name: string, results: readonly Result[]): string {
  return `  ${name.padEnd(46)}${inWords(results)}`;
}

function details(results: readonly Result[]): string[] {
  const failed = results
    .filter(({ status }) => status === 'fail')
    .map(
      (result) =>
        `    FAIL ${[result.device, result.test].filter((text) => text !== null).join(' ')}: ${result.reason ?? 'no reason given'}`,
    );
  const skipped = grouped(
    results.filter(({ status }) => status === 'skip'),
    ({ reason }) => reason ?? 'no reason given',
  );
  return [...failed, ...[...skipped].map(([reason, found]) => `    skip ${found.length}: ${reason}`)];
}

function inWords(results: readonly Result[]): string {
  const { pass, fail, skip } = totalsOf(results);
  const parts = [`${pass} pass`, `${fail} fail`, `${skip} skip`].filter((part) => !part.startsWith('0 '));
  return parts.join(', ') || 'nothing';
}

function inAWord(result: Result | null): string {
  if (result === null) return 'no such test';
  return result.reason === null ? result.status : `${result.status} (${result.reason})`;
}

function nameOfProgram(program: string, results: readonly Result[]): string {
  const devices = new Set(results.flatMap(({ device }) => device ?? [])).size;
  return devices < 2 ? program : `${program}, ${devices} devices`;
}

function nameOfTest(result: Result | null): string {
  return result === null ? '' : [result.program, result.device, result.test].filter((text) => text !== null).join(' ');
}

function grouped(results: readonly Result[], by: (result: Result) => string): Map<string, Result[]> {
  const groups = new Map<string, Result[]>();
  for (const result of results) groups.set(by(result), [...(groups.get(by(result)) ?? []), result]);
  return groups;
}

function asText(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
