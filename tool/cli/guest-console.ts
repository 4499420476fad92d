/** Where a Linux guest's console is: this terminal, a pipe, a file, or nowhere. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { WcvmmError } from '../../common/errors.ts';
import { standardOutput } from '../../common/output.ts';
import type { AsyncScope } from '../../common/scope.ts';
import type { UartInput } from '../../vmm/devices/uart.ts';
import type { LinuxConsole } from '../../vmm/machines/linux.ts';
import { KEYS_HELP, Keys } from './keys.ts';

export type ConsoleChoice =
  { readonly kind: 'stdio' } | { readonly kind: 'none' } | { readonly kind: 'file'; readonly path: string };

const FILE = 'file:';

/** Throws E_USAGE. */
export function parseConsole(text: string): ConsoleChoice {
  if (text === 'stdio' || text === 'none') return { kind: text };
  if (text.startsWith(FILE) && text.length > FILE.length) return { kind: 'file', path: text.slice(FILE.length) };
  throw new WcvmmError('E_USAGE', `--console ${text} is no console; expected stdio, none, or file:PATH.`);
}

/**
 * Opens it until `ends` closes; null for none. `onEnd` is called when the guest is to stop: the person at the terminal wants
 * it, or nobody takes its output.
 *
 * Throws E_USAGE for a file that cannot be written.
 */
export async function openConsole(
  choice: ConsoleChoice,
  ends: AsyncScope,
  onEnd: (why: WcvmmError) => void,
): Promise<LinuxConsole | null> {
  switch (choice.kind) {
    case 'none':
      return null;
    case 'file': {
      const file = await openFile(choice.path);
      ends.defer(() => file.close());
      return { onOutput: (bytes) => writeAll(file, bytes) };
    }
    case 'stdio': {
      const input = new StandardInput(() => onEnd(stoppedByKey()));
      ends.defer(() => input.close());
      const onOutput = (bytes: Uint8Array): Promise<void> =>
        standardOutput.writeBytes(bytes).catch((cause: unknown) => onEnd(unread(cause)));
      return { onOutput, onInput: (uart) => input.lead(uart) };
    }
  }
}

function stoppedByKey(): WcvmmError {
  return new WcvmmError('E_INTERRUPTED', 'the guest was stopped by Ctrl-a x; everything that it used was released.');
}

function unread(cause: unknown): WcvmmError {
  return new WcvmmError(
    'E_INTERRUPTED',
    'nobody reads standard output any more, so the guest was stopped; everything that it used was released.',
    { cause },
  );
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'w');
  } catch (error) {
    throw new WcvmmError(
      'E_USAGE',
      `--console ${FILE}${path} cannot be written; expected a file in a folder that is there.`,
      {
        cause: error,
      },
    );
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done)).bytesWritten;
}

/** A terminal gives each key as it is pressed; a file or a pipe gives what it has as the guest takes it. */
class StandardInput {
  readonly #keys = new Keys();
  readonly #onEnd: () => void;
  readonly #isTerminal = process.stdin.isTTY;
  #uart: UartInput | null = null;
  /** What is on its way to the guest. */
  #typing = Promise.resolve();
  #waiting = 0;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
    if (this.#isTerminal) {
      process.stdin.setRawMode(true);
      process.on('exit', restoreTerminal);
      process.stderr.write(`wcvmm: ${KEYS_HELP}\r\n`);
    }
    process.stdin.on('data', this.#onData);
  }

  /** From now on to this guest's serial port. */
  lead(uart: UartInput): void {
    this.#uart = uart;
  }

  close(): void {
    process.stdin.off('data', this.#onData);
    process.stdin.pause();
    process.stdin.unref?.();
    if (!this.#isTerminal) return;
    process.off('exit', restoreTerminal);
    restoreTerminal();
  }

  readonly #onData = (chunk: Uint8Array): void => {
    const { bytes, isEnd } = this.#isTerminal ? this.#keys.take(chunk) : { bytes: chunk, isEnd: false };
    if (isEnd) this.#onEnd();
    // A guest that reads nothing must not fill the memory, and must not keep the escape key from being seen.
    if (this.#isTerminal && this.#waiting > MOST_WAITING) return;
    if (!this.#isTerminal) process.stdin.pause();
    this.#waiting += bytes.length;
    this.#typing = this.#typing.then(() => this.#type(bytes));
  };

  async #type(bytes: Uint8Array): Promise<void> {
    await this.#uart?.type(bytes);
    this.#waiting -= bytes.length;
    if (!this.#isTerminal) process.stdin.resume();
  }
}

const MOST_WAITING = 4096;

function restoreTerminal(): void {
  process.stdin.setRawMode(false);
}
