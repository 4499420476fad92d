import { setImmediate } from 'node:timers/promises';
import { WcvmmError } from './errors.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `body` with an AbortSignal that Ctrl-C, SIGTERM and SIGHUP abort with E_INTERRUPTED, so that whoever
 * waits inside stops what it started, removes its temporary files and then fails with that error.
 * A second signal ends the process at once, as it would have without us.
 */
export async function interruptible<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      restore();
      process.kill(process.pid, name);
    }
    // Stays a listener meanwhile: execa ends the process itself if it finds no other listener.
    controller.abort(new WcvmmError('E_INTERRUPTED', `Stopped by ${name}; nothing half-done was kept.`));
  };
  const restore = (): void => {
    for (const name of signals) process.removeListener(name, onSignal);
  };
  for (const name of signals) process.on(name, onSignal);
  try {
    return await body(controller.signal);
  } catch (error) {
    // A program that was waited for synchronously ended by the signal before the event loop could deliver ours.
    await setImmediate();
    await setImmediate();
    // What the interruption broke on its way fails in its own words; the reason is what the user must read.
    controller.signal.throwIfAborted();
    throw error;
  } finally {
    restore();
  }
}
