import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { patchesFolder } from '../../../testbed/kernel/series.ts';
import { outcomes, type Outcome } from './tap.ts';

/** One test of the kernel's selftests: a program, the device that it ran on, and how the test came out. */
export interface Result extends Outcome {
  readonly program: string;
  /** PCI address; null = it is about no device. */
  readonly device: string | null;
}

/** A program that wrote more is cut there; the longest honest one writes a hundredth of it. */
const maximumLines = 50_000;
const maximumLine = 500;
/** Programs times devices; an instance that begins more says nothing that is worth reading. */
const maximumRuns = 1000;

/** What the kernel's own checkers write, and what it writes of its own bugs: one expression a line, for `grep -E -f` as well. */
const complaint = new RegExp(readFileSync(join(patchesFolder, 'complaints'), 'utf8').trim().replaceAll('\n', '|'));

interface Run {
  readonly program: string;
  readonly device: string | null;
  readonly output: string[];
  readonly log: string[];
  into: 'output' | 'log';
}

/**
 * Reads what kernel-patches/selftests/inside writes in the instance, as it comes. All of it is bounded, and a line that is no
 * marker where it stands is a line like any other.
 */
export class Transcript {
  readonly results: Result[] = [];
  readonly #reasons: ReadonlyMap<string, string>;
  readonly #onRun: (program: string, device: string | null) => void;
  readonly #decoder = new TextDecoder();
  #rest = '';
  #runs = 0;
  #run: Run | null = null;

  /** `reasons`: by program, what it means that the instance found it unfit. `onRun` is called for every program that begins. */
  constructor(reasons: ReadonlyMap<string, string>, onRun: (program: string, device: string | null) => void) {
    this.#reasons = reasons;
    this.#onRun = onRun;
  }

  /** The program that has begun and not ended. */
  get running(): string | null {
    return this.#run === null
      ? null
      : [this.#run.program, ...(this.#run.device === null ? [] : [this.#run.device])].join(' ');
  }

  take(chunk: Uint8Array): void {
    const lines = `${this.#rest}${this.#decoder.decode(chunk, { stream: true })}`.split('\n');
    this.#rest = (lines.pop() ?? '').slice(0, maximumLine);
    for (const line of lines) this.#line(printable(line.slice(0, maximumLine)));
  }

  #line(line: string): void {
    const begin = /^::begin ([\w-]{1,64}) (?:-|([\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.[0-7]))$/.exec(line);
    if (this.#run === null) {
      if (begin?.[1] === undefined || this.#runs >= maximumRuns) return;
      this.#runs += 1;
      this.#run = { program: begin[1], device: begin[2] ?? null, output: [], log: [], into: 'output' };
      this.#onRun(this.#run.program, this.#run.device);
      return;
    }
    const run = this.#run;
    const end = /^::end (\d{1,3})$/.exec(line);
    if (line === '::unfit' && run.output.length === 0)
      this.#end([
        { test: null, status: 'skip', reason: this.#reasons.get(run.program) ?? 'there is nothing here to test' },
      ]);
    else if (line === '::log') run.into = 'log';
    else if (end !== null && run.into === 'log')
      this.#end([...outcomes(run.output, Number(end[1])), ...outcomesOfLog(run.log)]);
    else if (run[run.into].length < maximumLines) run[run.into].push(line);
  }

  #end(found: readonly Outcome[]): void {
    if (this.#run === null) return;
    const { program, device } = this.#run;
    this.results.push(...found.map((outcome) => ({ program, device, ...outcome })));
    this.#run = null;
  }
}

/** A result of its own for what the kernel complained of while a program ran; none if it was content. */
function outcomesOfLog(log: readonly string[]): Outcome[] {
  const found = log.find((line) => complaint.test(line));
  return found === undefined ? [] : [{ test: "the kernel's log", status: 'fail', reason: found.trim() }];
}

/** Nothing that would move a terminal's cursor. */
function printable(line: string): string {
  // eslint-disable-next-line no-control-regex
  return line.replaceAll(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g, '');
}
