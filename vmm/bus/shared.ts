/** What handlers in several threads share: words of a SharedArrayBuffer. */

const FREE = 0;
const HELD = 1;

/** Runs `change` while no other thread is in `exclusively` with the same word. Not for the main thread, which may not wait. */
export function exclusively<T>(words: Int32Array<SharedArrayBuffer>, lock: number, change: () => T): T {
  while (Atomics.compareExchange(words, lock, FREE, HELD) !== FREE) Atomics.wait(words, lock, HELD);
  try {
    return change();
  } finally {
    Atomics.store(words, lock, FREE);
    Atomics.notify(words, lock, 1);
  }
}

/** The same on the main thread, which may not wait. `change` takes no time, or every vCPU would wait for it. */
export async function exclusivelyLater<T>(
  words: Int32Array<SharedArrayBuffer>,
  lock: number,
  change: () => T,
): Promise<T> {
  while (Atomics.compareExchange(words, lock, FREE, HELD) !== FREE) {
    const free = Atomics.waitAsync(words, lock, HELD);
    if (free.async) await free.value;
  }
  try {
    return change();
  } finally {
    Atomics.store(words, lock, FREE);
    Atomics.notify(words, lock, 1);
  }
}

/** The URL of a module beside the caller's, for a device's description: tsc rewrites import specifiers but not URLs. */
export function moduleBeside(caller: string, name: string): string {
  return new URL(`./${name}${caller.endsWith('.ts') ? '.ts' : '.js'}`, caller).href;
}
