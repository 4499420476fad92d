import type { Writable } from 'node:stream';

/** Writes to a stream, and is done when the stream has taken it: whoever waits never fills the memory for a slow reader. */
export function writerTo(stream: Writable): (bytes: Uint8Array) => Promise<void> {
  return (bytes) =>
    new Promise((resolve, reject) => {
      stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
}
