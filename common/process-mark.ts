/**
 * Marks of processes in the names of what they must remove: the process's number, and when it began, in ticks since boot, because
 * the kernel gives numbers again (32,768 of them are enough for a busy machine's morning).
 */
import { readFileSync } from 'node:fs';

/** Field 22 of proc(5)'s stat; the second is a name in parentheses, which may have spaces and parentheses of its own. Null where nobody says. */
function startOf(pid: number | 'self'): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** This process's own: "4711-90210". */
export function ownMark(): string {
  return `${process.pid}-${startOf('self') ?? ''}`;
}

/** Whether the process with this mark lives. Of a mark that is a number alone, whether any process has it. */
export function isAlive(mark: string): boolean {
  const [number = '', start = ''] = mark.split('-');
  const now = startOf(Number(number));
  if (now !== null) return start === '' || now === start;
  try {
    process.kill(Number(number), 0);
    return true;
  } catch (error) {
    // /proc may hide other users' processes.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
