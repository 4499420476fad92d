/** How one test came out. */
export interface Outcome {
  /** Its name in the program's TAP output; null = the program as a whole. */
  readonly test: string | null;
  readonly status: 'pass' | 'fail' | 'skip';
  /** Of a failure or a skip, in the program's or our words. */
  readonly reason: string | null;
}

/** Exit codes of the kernel's selftests (tools/testing/selftests/kselftest.h): KSFT_SKIP, and what `timeout -s KILL` leaves. */
const skipped = 4;
const killed = 137;

/**
 * What a selftest program says by its output and its exit code. A program that speaks no TAP, or says only that it skips,
 * is one test.
 */
export function outcomes(lines: readonly string[], code: number): Outcome[] {
  const found: Outcome[] = [];
  const names = new Map<string, number>();
  let planned: number | null = null;
  for (const [index, line] of lines.entries()) {
    const plan = /^1\.\.(\d{1,6})(?: # SKIP ?(.*))?$/.exec(line);
    if (plan !== null && plan[1] === '0') return [{ test: null, status: 'skip', reason: plan[2] ?? lastLine(lines) }];
    if (plan !== null) planned = Number(plan[1]);
    const result = /^(not )?ok \d+(?: -)? ?(.*?)(?:\s+# (SKIP|XFAIL|TODO)\b ?(.*))?$/.exec(line);
    if (result === null) continue;
    const [, not, name = '', directive, reason] = result;
    const seen = (names.get(name) ?? 0) + 1;
    names.set(name, seen);
    const status = directive === 'SKIP' ? 'skip' : not === undefined || directive !== undefined ? 'pass' : 'fail';
    found.push({
      test: seen === 1 ? name : `${name} (${seen})`,
      status,
      reason: status === 'pass' ? null : reason || complaintBefore(lines, index),
    });
  }
  const whole = wholeProgram(found, planned, lines, code);
  return whole === null ? found : [...found, whole];
}

/** The program's own outcome beside its tests: the only one if it has no tests, and an end that they do not explain. */
function wholeProgram(
  found: readonly Outcome[],
  planned: number | null,
  lines: readonly string[],
  code: number,
): Outcome | null {
  if (code === killed) return { test: null, status: 'fail', reason: 'it was stopped because it took too long' };
  if (found.length === 0 && planned === null) {
    if (code === 0) return { test: null, status: 'pass', reason: null };
    return {
      test: null,
      status: code === skipped ? 'skip' : 'fail',
      reason: code === skipped ? lastLine(lines) : `exit code ${code}: ${firstComplaint(lines)}`,
    };
  }
  if (planned !== null && found.length !== planned)
    return { test: null, status: 'fail', reason: `${found.length} of ${planned} tests reported, exit code ${code}` };
  if (code !== 0 && code !== skipped && !found.some(({ status }) => status === 'fail'))
    return { test: null, status: 'fail', reason: `exit code ${code} though no test failed` };
  return null;
}

/** The harness writes what a test did not find as expected above its result: "# file.c:12:name:Expected …". */
function complaintBefore(lines: readonly string[], index: number): string | null {
  for (let above = index - 1; above >= 0; above -= 1) {
    const line = lines[above] ?? '';
    if (/^(?:not )?ok \d/.test(line) || /^#\s+RUN /.test(line)) return null;
    const expected = /^# [\w.-]+\.c:\d+:[^:]+:(.+)$/.exec(line) ?? /^#\s+SKIP\s+(.+)$/.exec(line);
    if (expected?.[1] !== undefined) return expected[1];
  }
  return null;
}

/** KVM's selftests begin with "==== Test Assertion Failure ====", the place and what was asserted. */
function firstComplaint(lines: readonly string[]): string {
  const begin = lines.findIndex((line) => line.includes('Test Assertion Failure'));
  const said =
    begin === -1
      ? null
      : lines
          .slice(begin + 1)
          .filter((line) => !/^\s+(?:pid=|\d+\s+0x|errno=|\(stack trace)|^sh: /.test(line))
          .slice(0, 2)
          .map((line) => line.trim())
          .join(' ');
  return said === null || said === '' ? lastLine(lines) : said;
}

function lastLine(lines: readonly string[]): string {
  return lines.findLast((line) => line.trim() !== '')?.trim() ?? 'it printed nothing';
}
