/** `-m 0000:01:00.0/bar2=wc`: a map of one of several devices. */
import { parseMap } from '../../../vmm/memory/index.ts';
import type { MapRequest } from '../../../vmm/memory/index.ts';

/** A map, and the device that it names before a slash; null where it names none. Throws as parseMap does. */
export function splitMap(text: string): { readonly device: string | null; readonly map: MapRequest } {
  const slash = text.lastIndexOf('/');
  return { device: slash < 0 ? null : text.slice(0, slash), map: parseMap(text.slice(slash + 1)) };
}
