import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { outputOf } from '../../common/program.ts';
import { ControlChannel } from '../control.ts';
import { confined } from '../confine.ts';
import { complaintsLimit, consoleLimit, notInstalled, type Ended, type Listeners } from '../emulator.ts';
import { TextTail } from '../text-tail.ts';
import { sessionFiles } from './configuration.ts';
import { BochsDebugger } from './debugger.ts';
import { FrameReader } from './frames.ts';

export interface BochsRun {
  /** -f CONFIGURATION or -r STATE. */
  args: readonly string[];
  /** Bochs' own, in the session's. */
  folder: string;
  /** Its console is this terminal. */
  isOnTerminal: boolean;
  /** The library that lets the debugger keep a state. */
  saver: string;
  listeners: Listeners;
  /** Talks to the debugger from power-on to the end. */
  drive: (debug: BochsDebugger) => Promise<void>;
}

export interface BochsProcess {
  ended: Promise<Ended>;
  kill: () => void;
}

/** How long Bochs has to write what it holds back of the console, ms. */
const grace = 2000;

/** Starts Bochs. The archive of files that the instance sends is `sessionFiles.files`, empty if it sends none. */
export async function runBochs({
  args,
  folder,
  isOnTerminal,
  saver,
  listeners,
  drive,
}: BochsRun): Promise<BochsProcess> {
  const { execa } = await import('execa');
  const program = 'bochs-bin';
  const [command, ...prefix] = confined(program, { folder, network: 'none', isOnTerminal });
  const inputPath = await makeInput(folder);
  const input = openSync(inputPath, 'r+');
  const files = openSync(join(folder, sessionFiles.files), 'w');
  const child = execa('sh', ['-c', 'exec "$@" <>"$0"', inputPath, command, ...prefix, '-q', ...args], {
    buffer: false,
    reject: false,
    cwd: folder,
    stdin: 'ignore',
    env: { LD_PRELOAD: saver },
  });
  const output = new TextTail(complaintsLimit);
  const complaints = new TextTail(complaintsLimit);
  const control = new ControlChannel(listeners.up);
  const debug = new BochsDebugger((line) => writeSync(input, line));
  const frames = new FrameReader({
    text: (text) => {
      output.add(text);
      debug.receive(text);
    },
    data: (stream, bytes) => {
      if (stream === 'stdout') listeners.stdout(bytes);
      if (stream === 'stderr') listeners.stderr(bytes);
      if (stream === 'files') writeSync(files, bytes);
      if (stream === 'control') control.push(bytes);
    },
  });
  child.stdout.on('data', (chunk: Buffer) => frames.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => complaints.add(chunk.toString('latin1')));
  let killer: NodeJS.Timeout | undefined;
  const driven = drive(debug);
  const finish = async (): Promise<Ended> => {
    const result = await child;
    clearTimeout(killer);
    debug.end();
    closeSync(input);
    closeSync(files);
    if (result.exitCode === undefined && result.signal === undefined) throw notInstalled(program, result);
    await driven;
    const { up, exitCode } = control;
    const serial = await consoleOf(join(folder, sessionFiles.console));
    return { up, exitCode, console: serial, complaints: complaintsIn(`${output}\n${complaints}`) };
  };
  const kill = (): void => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    // An interrupt stops it at the debugger, and "quit" there writes out the console.
    child.kill('SIGINT');
    debug.quit();
    killer ??= setTimeout(() => child.kill('SIGKILL'), grace);
  };
  return { ended: finish(), kill };
}

/** The end of the console, or "" where it was this terminal. */
async function consoleOf(path: string): Promise<string> {
  // A link would be one that Bochs made.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => null);
  if (file === null) return '';
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - consoleLimit);
    const { buffer } = await file.read({ buffer: Buffer.alloc(size - start), position: start });
    // A state remembers how far its own session had written this file, and Bochs goes on from there.
    return buffer.toString('latin1').replaceAll('\0', '');
  } finally {
    await file.close();
  }
}

/**
 * Bochs' standard input, a FIFO that both sides open for reading and writing, so that neither waits for the other. No socket, which is what Node calls a pipe: Bochs' display mistakes one for
 * a viewer, sends it pictures, and hangs when they are not read.
 */
async function makeInput(folder: string): Promise<string> {
  const path = join(folder, `input-${process.hrtime.bigint()}`);
  if ((await outputOf('mkfifo', [path]))?.exitCode !== 0) throw notInstalled('mkfifo');
  return path;
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
