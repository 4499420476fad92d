/**
 * Standard output and standard error. Into a file or a pipe Node's streams write at once, as a system call does, and to load them
 * takes 2 ms of a bare guest's 46: there it is done without them.
 */
import { fstatSync, readlinkSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { writerTo } from './streams.ts';

/** Whether Node has to find out more about a character device: not of /dev/null, and of none that sysfs says is no terminal. It says nothing of a pseudo-terminal. */
function mayBeTerminal(device: number): boolean {
  const [major, minor] = [(device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00)];
  try {
    return basename(readlinkSync(`/sys/dev/char/${major}:${minor}/subsystem`)) === 'tty';
  } catch {
    return true;
  }
}

export class Output {
  readonly #fd: number;
  readonly #stream: () => NodeJS.WriteStream;
  #needsStream: boolean | undefined;
  #loaded: NodeJS.WriteStream | undefined;

  /** Hears what Node's stream could not write. */
  onError: (error: NodeJS.ErrnoException) => void = () => {};

  /** @param stream Node's own for the same file */
  constructor(fd: number, stream: () => NodeJS.WriteStream) {
    this.#fd = fd;
    this.#stream = stream;
  }

  get isTTY(): boolean {
    return this.#isStream() && this.#node().isTTY;
  }

  /** Of a terminal. */
  get columns(): number | undefined {
    return this.#isStream() ? this.#node().columns : undefined;
  }

  /** For a process that may open nothing later: Node opens a terminal by its name when its stream is first asked for. */
  open(): void {
    if (this.#isStream()) this.#node();
  }

  write(written: string | Uint8Array): void {
    const rest = this.#writeNow(typeof written === 'string' ? Buffer.from(written) : written);
    if (rest.byteLength > 0) this.#node().write(rest);
  }

  /** Done when it has been taken. Throws where nobody reads any more. */
  async writeBytes(bytes: Uint8Array): Promise<void> {
    const rest = this.#writeNow(bytes);
    if (rest.byteLength > 0) await writerTo(this.#node())(rest);
  }

  #node(): NodeJS.WriteStream {
    if (this.#loaded === undefined) {
      this.#loaded = this.#stream();
      this.#loaded.on('error', (error) => this.onError(error));
    }
    return this.#loaded;
  }

  #isStream(): boolean {
    if (this.#needsStream === undefined) {
      const there = fstatSync(this.#fd);
      const isPlain = there.isFile() || there.isFIFO() || (there.isCharacterDevice() && !mayBeTerminal(there.rdev));
      this.#needsStream = !isPlain;
    }
    return this.#needsStream;
  }

  /** Returns what is left for the stream: all of it, or what a pipe that is full and does not block has not taken, or that nobody reads. */
  #writeNow(bytes: Uint8Array): Uint8Array {
    let at = 0;
    try {
      while (!this.#isStream() && at < bytes.byteLength) at += writeSync(this.#fd, bytes, at);
    } catch {
      this.#needsStream = true;
    }
    return bytes.subarray(at);
  }
}

export const standardOutput = new Output(1, () => process.stdout);
export const standardError = new Output(2, () => process.stderr);
