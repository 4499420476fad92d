/** The kernel's random bytes. Node's own way to them loads all of its cryptography first. */
import { native } from './native.ts';
import { SysError } from './port.ts';

/** The kernel gives so many in one piece, whatever happens. */
const AT_ONCE = 256;

let call: ((into: Uint8Array, length: number, flags: number) => number) | null = null;

/** At most 256. Throws SysError. */
export function randomBytes(length: number): Uint8Array {
  if (length > AT_ONCE) throw new RangeError(`${length} random bytes; expected at most ${AT_ONCE}`);
  call ??= native().koffi.load(null).func('int64_t getrandom(void *into, size_t length, unsigned int flags)');
  const bytes = new Uint8Array(length);
  if (Number(call(bytes, length, 0)) !== length) throw new SysError('getrandom', native().koffi.errno());
  return bytes;
}
