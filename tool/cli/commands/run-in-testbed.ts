/** `wcvmm run --testbed`: the same inside an emulated instance, with copies of the files that it names. */
import { copyFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { temporaryFolder } from '../../../common/temporary.ts';
import { runInTestbed } from '../../../testbed/index.ts';
import { parseConsole } from '../guest-console.ts';
import type { BareOptions } from './run-bare.ts';
import type { LinuxOptions } from './run-linux.ts';

export interface RunOptions extends Omit<BareOptions, 'device'>, Omit<LinuxOptions, 'kernel' | 'timeout'> {
  readonly kernel?: string;
  readonly testbed?: string;
}

/** Seconds that an instance takes beside its guest. */
const INSTANCE_SECONDS = 60;
/** Of a Linux guest and its instance, where nothing else is asked for: an emulated CPU that emulates another boots slowly. */
const LINUX_SECONDS = 300;

/** A file of the user's that the command inside writes, by the name that it has there. */
interface Written {
  readonly inside: string;
  readonly path: string;
  readonly option: string;
}

const CONSOLE_FILE = 'guest-console.out';
const JSON_FILE = 'run-result.json';

/** Returns the exit code. @param path of a bare guest @param isTimed whether a timeout was given */
export async function runGuestInTestbed(
  path: string | undefined,
  options: RunOptions,
  testbed: string,
  isTimed: boolean,
): Promise<number> {
  const inputs = [path, options.kernel, options.initrd].filter((file) => file !== undefined);
  const written = filesOf(options);
  for (const { path: file, option } of written) await makeEmpty(file, option);
  const outputDir = await temporaryFolder('run');
  try {
    return await runInTestbed({
      arch: testbed,
      run: { kind: 'wcvmm', args: ['run', ...argumentsInside(path, options, isTimed)] },
      inputs,
      outputDir,
      ...(options.kernel !== undefined && { timeout: LINUX_SECONDS, linuxGuests: true }),
      ...(isTimed && { timeout: options.timeout + INSTANCE_SECONDS }),
    });
  } finally {
    const made = await readdir(outputDir);
    for (const { inside, path: file } of written) {
      if (made.includes(inside)) await copyFile(join(outputDir, inside), file);
    }
    await rm(outputDir, { recursive: true, force: true });
  }
}

function filesOf({ console, json }: RunOptions): readonly Written[] {
  const choice = parseConsole(console);
  return [
    ...(choice.kind === 'file' ? [{ inside: CONSOLE_FILE, path: choice.path, option: '--console' }] : []),
    ...(json === undefined || json === '-' ? [] : [{ inside: JSON_FILE, path: json, option: '--json' }]),
  ];
}

/** Before an instance boots for nothing. */
async function makeEmpty(path: string, option: string): Promise<void> {
  try {
    await writeFile(path, '');
  } catch (error) {
    throw new WcvmmError(
      'E_USAGE',
      `${option}: ${path} cannot be written; expected a file in a folder that is there.`,
      { cause: error },
    );
  }
}

/** The command line inside, where files have the last parts of their names. */
export function argumentsInside(path: string | undefined, options: RunOptions, isTimed: boolean): readonly string[] {
  const { kernel, initrd, append, cpus, console, reboot, memory, json } = options;
  const { device, map, source, iommu, enforce, dmaDevice, sandbox } = options;
  const consoleInside = parseConsole(console).kind === 'file' ? `file:${CONSOLE_FILE}` : console;
  const forLinux = [
    ...(kernel === undefined ? [] : ['--kernel', basename(kernel), '--cpus', cpus, '--console', consoleInside]),
    ...(initrd === undefined ? [] : ['--initrd', basename(initrd)]),
    ...append.flatMap((words) => ['--append', words]),
    ...(reboot ? [] : ['--no-reboot']),
  ];
  const forBare =
    path === undefined
      ? []
      : [
          '--source',
          source,
          ...dmaDevice.flatMap((address) => ['--dma-device', address]),
          ...(json === undefined ? [] : ['--json', json === '-' ? json : JSON_FILE]),
          basename(path),
        ];
  return [
    ...forLinux,
    '--iommu',
    iommu,
    ...device.flatMap((address) => ['--device', address]),
    ...map.flatMap((text) => ['--map', text]),
    ...(enforce === true ? ['--enforce'] : []),
    ...(sandbox ? [] : ['--no-sandbox']),
    ...(memory === undefined ? [] : ['--memory', memory]),
    ...(isTimed ? ['--timeout', String(options.timeout)] : []),
    ...forBare,
  ];
}
