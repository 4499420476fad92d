import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { confined, isUp, notInstalled, type Ended, type Listeners } from '../emulator.ts';
import { sessionFiles } from './configuration.ts';
import { BochsDebugger } from './debugger.ts';
import { FrameReader } from './frames.ts';

export interface BochsRun {
  /** -f CONFIGURATION or -r STATE. */
  args: readonly string[];
  /** The session's folder. */
  folder: string;
  /** The library that lets the debugger keep a state. */
  saver: string;
  listeners: Listeners;
  /** Talks to the debugger from power-on to the end. */
  drive: (debug: BochsDebugger) => Promise<void>;
}

export interface BochsEnded extends Ended {
  up: boolean;
  /** The archive of files that the instance sent. */
  files: Uint8Array;
}

export interface BochsProcess {
  ended: Promise<BochsEnded>;
  kill: () => void;
}

/** How long Bochs has to write what it holds back of the console, ms. */
const grace = 2000;

export function runBochs({ args, folder, saver, listeners, drive }: BochsRun): BochsProcess {
  const program = 'bochs-bin';
  const [command, ...prefix] = confined(program, 'none');
  const input = openInput(folder);
  const child = spawn(command, [...prefix, '-q', ...args], {
    cwd: folder,
    stdio: [input, 'pipe', 'pipe'],
    env: { ...process.env, LD_PRELOAD: saver },
  });
  const files: Uint8Array[] = [];
  const left: Ended = { control: '', console: '', complaints: '' };
  let said = '';
  const debug = new BochsDebugger((line) => writeSync(input, line));
  const frames = new FrameReader({
    text: (text) => {
      said += text;
      debug.hear(text);
    },
    data: (stream, bytes) => {
      if (stream === 'stdout') listeners.stdout(bytes);
      if (stream === 'stderr') listeners.stderr(bytes);
      if (stream === 'files') files.push(Uint8Array.from(bytes));
      if (stream !== 'control') return;
      left.control += Buffer.from(bytes).toString('latin1');
      listeners.control(left.control);
    },
  });
  child.stdout?.on('data', (chunk: Buffer) => frames.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => (left.complaints += chunk.toString('latin1')));
  const closed = once(child, 'close');
  void closed
    .catch(() => {})
    .finally(() => {
      debug.end();
      closeSync(input);
    });
  const driven = drive(debug);
  const finish = async (): Promise<BochsEnded> => {
    await closed.catch((cause: unknown) => {
      throw notInstalled(program, cause);
    });
    await driven;
    // A state remembers how far its own session had written this file, and Bochs goes on from there.
    left.console = (await readFile(join(folder, sessionFiles.console), 'latin1').catch(() => '')).replaceAll('\0', '');
    left.complaints = complaintsIn(`${said}\n${left.complaints}`);
    return { ...left, up: isUp(left.control), files: Buffer.concat(files) };
  };
  return { ended: finish(), kill: () => kill() };

  function kill(): void {
    // An interrupt stops it at the debugger, and "quit" there writes out the console.
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGINT');
    debug.quit();
    const timer = setTimeout(() => child.kill('SIGKILL'), grace);
    child.once('close', () => clearTimeout(timer));
  }
}

/**
 * Bochs' standard input, open for both ends. No socket, which is what Node calls a pipe: Bochs' display mistakes one for
 * somebody who looks at it, sends it pictures, and hangs when nobody takes them.
 */
function openInput(folder: string): number {
  const path = join(folder, `input-${process.hrtime.bigint()}`);
  const { status, error } = spawnSync('mkfifo', [path]);
  if (status !== 0) throw notInstalled('mkfifo', error);
  return openSync(path, 'r+');
}

/** Bochs also ends with a message when the instance powered itself off. */
function complaintsIn(text: string): string {
  const message = /Bochs is exiting with the following message:\n([^]*?)\n=+/.exec(text)?.[1];
  if (message !== undefined) return message.includes('power off') ? '' : message;
  return text
    .split('\n')
    .filter((line) => /error|panic|unshare|setpriv|cannot/i.test(line))
    .join('\n');
}
