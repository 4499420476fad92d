/** Ends the life of a view of memory that is about to be unmapped. */

/**
 * Detaches `buffer`: its length becomes 0, and so do those of all typed arrays on it; reading one gives undefined, a DataView
 * throws TypeError. No memory is copied or freed.
 *
 * ArrayBuffer.prototype.transfer does it from Node 22 on. Node 20 has none, and structuredClone copies a buffer whose memory is not V8's own. A byte stream's reader takes
 * the buffer that it is given to read into away from its caller, as the standard says that it must, and that works.
 */
export function detach(buffer: ArrayBuffer): void {
  if (buffer.byteLength === 0) return;
  const transfer: unknown = Reflect.get(buffer, 'transfer');
  if (typeof transfer === 'function') Reflect.apply(transfer, buffer, []);
  else void new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' }).read(new Uint8Array(buffer));
  if (buffer.byteLength !== 0) throw new Error('a view of mapped memory could not be detached');
}
