import { mkdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { compileC } from '../compile.ts';
import type { Emulator, Ended, Listeners } from '../emulator.ts';
import type { Boot } from '../machine/machine.ts';
import { projectRoot } from '../../common/paths.ts';
import { runProgram } from '../../common/program.ts';
import { WcvmmError } from '../../common/errors.ts';
import { ensureBootCd } from './boot-cd.ts';
import { configuration, sessionFiles, type SerialPort } from './configuration.ts';
import { askedToStop, type BochsDebugger } from './debugger.ts';
import { readEptLeaf } from './ept.ts';
import { dropState, keepState, openState, stateFolder } from './kept-state.ts';
import { packJob } from './job.ts';
import { runBochs, type BochsProcess } from './process.ts';

const sources = join(projectRoot, 'testbed/bochs');

/** ms. A state that has not started to run after so long never will. */
const restoreTime = 60_000;

export interface BochsMachine {
  /** The CPU model unless the user says otherwise. */
  cpu: string;
  /** The kernel's command line. */
  append: string;
  /** Bochs' version: states are of no use to another. */
  version: string;
  /** What its command line begins with. */
  args: readonly string[];
}

/** Starts an instance on Bochs, from a kept state if there is one. */
export async function startBochs(machine: BochsMachine, boot: Boot): Promise<Emulator> {
  const { files, command, options, signal, listeners } = boot;
  const folder = join(files.share, 'bochs');
  await mkdir(folder);
  const saver = await compileC({
    compiler: 'gcc',
    source: join(sources, 'save-state.c'),
    flags: ['-shared', '-fPIC'],
    signal,
  });
  const cd = await ensureBootCd({ kernel: files.kernel, initramfs: files.initramfs, append: machine.append }, signal);
  await symlink(cd, join(folder, sessionFiles.cd));
  await symlink(files.disk, join(folder, sessionFiles.disk));
  const job = await packJob(files.share, command);
  const serial: SerialPort = command.interactive
    ? { kind: 'terminal', path: readlinkSync('/proc/self/fd/0') }
    : { kind: 'file' };
  const bochsOptions = { cpu: options.cpu ?? machine.cpu, memory: options.memory };
  // Every file of the cache has its content in its name.
  const kept = stateFolder(
    machine.version,
    configuration({ ...bochsOptions, serial: { kind: 'file' } }),
    cd,
    files.disk,
    `${job.length}`,
    await readFile(saver),
  );

  let current: BochsProcess | null = null;
  let killed = false;
  const run = async (
    args: readonly string[],
    drive: (debug: BochsDebugger) => Promise<void>,
    onUp?: () => void,
  ): Promise<Ended> => {
    const up = (): void => {
      onUp?.();
      listeners.up();
    };
    current = await runBochs({
      args: [...machine.args, ...args, ...(options.extra ?? [])],
      folder,
      isOnTerminal: command.interactive,
      saver,
      listeners: { ...listeners, up },
      drive,
    });
    // Told to end while there was nothing to kill yet.
    if (killed) current.kill();
    return current.ended;
  };

  const goOn = async (debug: BochsDebugger): Promise<void> => {
    if ((await debug.stopped()) === null) return;
    debug.resume();
    await keepGoing(debug, listeners.eptLeaf);
  };

  const fromState = async (): Promise<Ended | null> => {
    if (!(await openState(kept, join(folder, 'state'), job, serial))) return null;
    await emptyDisk(join(folder, sessionFiles.job), job.length);
    const hung = setTimeout(() => current?.kill(), restoreTime);
    const ended = await run(['-r', 'state'], goOn, () => clearTimeout(hung)).finally(() => clearTimeout(hung));
    if (ended.up || killed) return ended;
    await dropState(kept);
    return null;
  };

  const fromPowerOn = async (): Promise<Ended> => {
    await writeFile(join(folder, sessionFiles.job), job);
    await writeFile(join(folder, 'bochsrc'), configuration({ ...bochsOptions, serial }));
    return run(['-f', 'bochsrc'], async (debug) => {
      if ((await debug.stopped()) === null) return;
      debug.resume();
      const output = await debug.stopped();
      if (output === null) return;
      if (askedToStop(output)) await keepState(kept, folder, debug);
      debug.resume();
      await keepGoing(debug, listeners.eptLeaf);
    });
  };

  const session = async (): Promise<Ended> => {
    const ended = (await fromState()) ?? (await fromPowerOn());
    await unpackFiles(files.share, join(folder, sessionFiles.files));
    return ended;
  };

  return {
    ended: session(),
    kill: () => {
      killed = true;
      current?.kill();
    },
  };
}

/** To the end of the instance; an instance that stops goes on, also if there is no listener. */
async function keepGoing(debug: BochsDebugger, onEptLeaf: Listeners['eptLeaf']): Promise<void> {
  for (let output = await debug.stopped(); output !== null; output = await debug.stopped()) {
    if (!askedToStop(output)) {
      debug.quit();
      continue;
    }
    const leaf = onEptLeaf === undefined ? null : await readEptLeaf(debug);
    if (leaf !== null) onEptLeaf?.(leaf);
    debug.resume();
  }
}

/** A disk that Bochs can open before it fills it from the state. */
async function emptyDisk(path: string, size: number): Promise<void> {
  await writeFile(path, '');
  await truncate(path, size);
}

/** What came back, if anything did, replaces the working directory: inputs that the command left alone did not come. */
async function unpackFiles(share: string, archive: string): Promise<void> {
  if ((await stat(archive)).size === 0) return;
  const work = join(share, 'work');
  await rm(work, { recursive: true });
  await mkdir(work);
  await runProgram('tar', ['-x', '-f', archive, '-C', work, '--no-same-owner'], {
    failure: (tail, cause) =>
      new WcvmmError('E_TESTBED', `The files that the command wrote could not be brought back.\n${tail}`, { cause }),
  });
}
