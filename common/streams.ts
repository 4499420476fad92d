import type { Writable } from 'node:stream';

/** Streams whose errors are no longer the process's end. */
const heard = new WeakSet<Writable>();

/**
 * Writes to a stream, and is done when the stream has taken it: whoever waits never fills the memory for a slow reader. Where
 * nobody reads any more the promise says so (EPIPE), and nothing else does.
 */
export function writerTo(stream: Writable): (bytes: Uint8Array) => Promise<void> {
  if (!heard.has(stream)) stream.on('error', () => {});
  heard.add(stream);
  return (bytes) =>
    new Promise((resolve, reject) => {
      stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
}
