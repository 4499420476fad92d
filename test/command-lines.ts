import { readFileSync, readdirSync } from 'node:fs';

/** Of all processes, as /proc has them: words end with a zero. One that has ended meanwhile has none. */
export function commandLines(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
      } catch {
        return '';
      }
    });
}
