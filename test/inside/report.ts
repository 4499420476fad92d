import { SysError } from '../../vmm/sys/port.ts';

/** What a script inside a testbed found, one line of JSON each; the test outside turns them into test results. */
export interface Finding {
  readonly name: string;
  readonly found: string | number | boolean;
}

export function tell(name: string, found: Finding['found']): void {
  const finding: Finding = { name, found };
  process.stdout.write(`${JSON.stringify(finding)}\n`);
}

/** The errno's name, or "ok" where the call succeeded. */
export function errnoOf(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    return error instanceof SysError ? error.errnoName : String(error);
  }
}
