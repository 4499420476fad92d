/** Questions whose refusal is an answer too. */
import { SysError } from './port.ts';
import type { Port } from './port.ts';

/** A file's text, or `otherwise` where it is absent or may not be read. */
export function readOr(port: Port, path: string, otherwise: string): string {
  return attempt(() => port.readText(path)) ?? otherwise;
}

/** What the kernel answers, or null where it refuses. */
export function attempt<T>(call: () => T): T | null {
  try {
    return call();
  } catch (error) {
    if (error instanceof SysError) return null;
    throw error;
  }
}
