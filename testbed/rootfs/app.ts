import { readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { WcvmmError } from '../../common/errors.ts';
import { cacheRoot, exists, publish } from '../../common/cache.ts';
import type { Machine } from '../machine/machine.ts';
import { projectRoot } from '../../common/paths.ts';
import type { Progress } from '../../common/progress.ts';
import { unpackNpmPackage } from './base.ts';
import type { CpioEntry } from '../../common/cpio.ts';
import { V8_FLAGS } from './code.ts';

/** Where the project stands inside the instance. */
export const insideRoot = '/wcvmm';

/** `wcvmm` there: the compiled command line. With V8's compilers where a Linux guest runs long enough. */
export const insideCommand = `#!/bin/sh
case " $* " in
*' --kernel '* | *' --guest linux '*) flags= ;;
*) flags='${V8_FLAGS.join(' ')}' ;;
esac
exec node $flags ${insideRoot}/dist/tool/cli/cli.js "$@"
`;

/** Dependencies that only the host's side of the testbed needs. */
const hostOnly = new Set(['execa']);

const manifest = v.object({ dependencies: v.optional(v.record(v.string(), v.string()), {}) });
const lockFile = v.object({
  packages: v.record(v.string(), v.object({ version: v.optional(v.string()), integrity: v.optional(v.string()) })),
});

/** The part of the root file system that changes with the project: its compiled code and what that needs. @param code the folder with V8's */
export async function appEntries(
  machine: Machine,
  code: string | null,
  progress: Progress,
  signal: AbortSignal,
): Promise<CpioEntry[]> {
  if (!(await exists(join(projectRoot, 'dist/tool/cli/cli.js'))))
    throw new WcvmmError(
      'E_TESTBED',
      'The project is not compiled: there is no dist/tool/cli/cli.js. Run `npm run build` and try again.',
    );
  const files = new Map<string, Uint8Array>();
  const add = async (folder: string, inside: string, wanted: (name: string) => boolean): Promise<void> => {
    const found = await readdir(folder, { recursive: true, withFileTypes: true });
    for (const entry of found) {
      if (!entry.isFile() || !wanted(entry.name)) continue;
      const path = join(entry.parentPath, entry.name);
      files.set(join(inside, path.slice(folder.length + 1)), await readFile(path));
    }
  };
  await add(join(projectRoot, 'dist'), 'dist', isCode);
  if (code !== null) await add(code, 'dist/tool/bundle', () => true);
  for (const name of await neededPackages()) await add(await packageFolder(name), join('node_modules', name), isCode);
  const koffi = machine.userland.koffi;
  await add(
    await koffiFolder(machine, progress, signal),
    join('node_modules', koffi),
    (name) => isCode(name) || name.endsWith('.node'),
  );
  files.set('package.json', await readFile(join(projectRoot, 'package.json')));
  const { guestImage, programs } = machine.userland;
  for (const path of [guestImage, ...programs]) files.set(path, await built(path));
  return withFolders(insideRoot.slice(1), files);
}

function isCode(name: string): boolean {
  return /\.[cm]?js$/.test(name) || name === 'package.json';
}

/** Files and every folder above them, folders first, in an order that does not depend on the file system. */
export function withFolders(root: string, files: ReadonlyMap<string, Uint8Array>): CpioEntry[] {
  const entries = new Map<string, CpioEntry>();
  for (const [name, data] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const path = join(root, name);
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      const folder = path.slice(0, end);
      entries.set(folder, { kind: 'directory', path: folder, mode: 0o755 });
    }
    entries.set(path, { kind: 'file', path, mode: 0o755, data });
  }
  return [...entries.values()];
}

/** Where npm put a dependency: beside the project's code, or further up where the project is one itself. */
async function packageFolder(name: string): Promise<string> {
  for (let folder = projectRoot; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (await exists(join(candidate, 'package.json'))) return candidate;
    if (folder === dirname(folder))
      throw new WcvmmError(
        'E_TESTBED',
        `The npm package ${name}, which the instance needs, is not installed. Run \`npm install\` and try again.`,
      );
  }
}

/** npm publishes no package-lock.json at a package's root, so a packed project has it in dist. */
async function lockPath(): Promise<string> {
  const own = join(projectRoot, 'package-lock.json');
  return (await exists(own)) ? own : join(projectRoot, 'dist/package-lock.json');
}

/** The project's dependencies and theirs, by name, as npm laid them out: flat. */
async function neededPackages(): Promise<string[]> {
  const needed = new Set<string>();
  const visit = async (folder: string): Promise<void> => {
    const { dependencies } = v.parse(manifest, JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')));
    for (const name of Object.keys(dependencies)) {
      if (needed.has(name) || hostOnly.has(name)) continue;
      needed.add(name);
      await visit(await packageFolder(name));
    }
  };
  await visit(projectRoot);
  return [...needed];
}

async function koffiFolder(machine: Machine, progress: Progress, signal: AbortSignal): Promise<string> {
  const name = machine.userland.koffi;
  const { packages } = v.parse(lockFile, JSON.parse(await readFile(await lockPath(), 'utf8')));
  const locked = packages[`node_modules/${name}`];
  if (locked?.version === undefined || locked.integrity === undefined)
    throw new WcvmmError(
      'E_TESTBED',
      `package-lock.json does not hold ${name}, which the instance needs. Restore it from the project.`,
    );
  const { version, integrity } = locked;
  const folder = join(cacheRoot(), 'npm', `${name.replace('/', '-')}-${version}`);
  const inside = join(folder, 'package');
  if (await exists(inside)) return inside;
  progress.phase(`fetching ${name} ${version}`);
  await publish(folder, async (temporary) => {
    await unpackNpmPackage(`${name}@${version}`, integrity, temporary, signal);
  }).catch(async (error: unknown) => {
    // Another run may have been first: a folder cannot be renamed over one that is not empty.
    if (!(await exists(inside))) throw error;
  });
  return inside;
}

async function built(path: string): Promise<Uint8Array> {
  return readFile(join(projectRoot, path)).catch((cause: unknown) => {
    throw new WcvmmError('E_TESTBED', `${join(projectRoot, path)} is not built. Run \`npm run build\` and try again.`, {
      cause,
    });
  });
}
