/**
 * Puts what the command line loads into a few files: Node takes longer to find, read and link hundreds of modules than a bare
 * guest runs. The compiled modules stay beside them, for the library's entry points and for the vCPUs' threads: a thread imports
 * devices by their URLs, anybody's too, and a class must not be there twice.
 */
import { copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { rolldown } from 'rolldown';
import type { ChunkingContext, OutputChunk, Plugin } from 'rolldown';
import { projectRoot } from '../common/paths.ts';

const dist = join(projectRoot, 'dist');

const cliFolder = 'tool/cli';

/** Below the project, without their endings. */
const entries = [`${cliFolder}/cli`, `${cliFolder}/preload`];

/** As deep as the entry points' folder, so that one relative URL leads from each bundle to a module. */
const sharedFolder = 'tool/bundle';

/** A module's own URL is that of the compiled module, from wherever its bundle is: devices and threads are found beside it. */
const ownUrls: Plugin = {
  name: 'own-urls',
  transform(code, id) {
    if (!id.startsWith(projectRoot) || id.includes('/node_modules/') || !code.includes('import.meta.url')) return null;
    const compiled = relative(join(dist, sharedFolder), join(dist, relative(projectRoot, id))).replace(/\.ts$/, '.js');
    return code.replaceAll('import.meta.url', `new URL('${compiled}', import.meta.url).href`);
  },
};

/**
 * What is always loaded together, in this order: each bundle is the modules named and all that they import, but for what is in
 * the bundles before it. What is in none of them is put together by who imports it.
 */
const parts: readonly (readonly [string, readonly string[]])[] = [
  ['version', ['common/version']],
  ['main', ['tool/cli/main']],
  ['bare', ['tool/cli/commands/run', 'tool/cli/commands/run-bare']],
  ['linux', ['tool/cli/commands/run-linux']],
  [
    'verify',
    ['tool/cli/commands/verify', 'tool/cli/commands/report-action', 'tool/cli/commands/run-here', 'tool/report/json'],
  ],
  [
    'testbed',
    ['testbed/index', 'tool/cli/commands/testbed', 'tool/cli/commands/kernel', 'tool/cli/commands/run-inside'],
  ],
];

const closures = new Map<readonly string[], ReadonlySet<string>>();

function closureOf(roots: readonly string[], context: ChunkingContext): ReadonlySet<string> {
  const known = closures.get(roots);
  if (known !== undefined) return known;
  const closure = new Set<string>();
  const waiting = roots.map((root) => join(projectRoot, `${root}.ts`));
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (closure.has(id)) continue;
    closure.add(id);
    waiting.push(...(context.getModuleInfo(id)?.importedIds ?? []));
  }
  closures.set(roots, closure);
  return closure;
}

/** commander loads what starts programs, and with that the network, for subcommands that are programs of their own: there are none. */
const lazyPrograms: Plugin = {
  name: 'lazy-programs',
  transform(code, id) {
    if (!id.endsWith('/commander/lib/command.js')) return null;
    const eager = "const childProcess = require('node:child_process');";
    if (!code.includes(eager)) throw new Error(`${id} has no ${eager}`);
    return code.replace(eager, "const childProcess = { get spawn() { return require('node:child_process').spawn; } };");
  },
};

/**
 * Node's own modules that are not in its snapshot take a bundle's time to load whether they are used or not: these are loaded by
 * the first use of what they export.
 */
const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  renderChunk: (code) =>
    code.replaceAll(
      /^let (\w+) = require\("(node:(?:child_process|crypto|fs\/promises|worker_threads))"\);$/gm,
      (eager, name: string, module: string) =>
        code.includes(`__toESM(${name}`)
          ? eager
          : `const ${name} = new Proxy({}, { get: (_, key) => require("${module}")[key] });`,
    ),
};

async function make(): Promise<readonly OutputChunk[]> {
  const bundle = await rolldown({
    cwd: projectRoot,
    input: Object.fromEntries(entries.map((entry) => [entry, `${entry}.ts`])),
    platform: 'node',
    // It finds its native code beside itself.
    external: ['koffi'],
    plugins: [ownUrls, lazyPrograms, lazyBuiltins],
    checks: { ineffectiveDynamicImport: false },
  });
  const { output } = await bundle.write({
    dir: dist,
    // ES modules take longer to start: a tenth of a short run.
    format: 'cjs',
    comments: false,
    entryFileNames: '[name].js',
    chunkFileNames: `${sharedFolder}/[name]-[hash].cjs`,
    codeSplitting: {
      groups: parts.map(([name, roots], index) => ({
        debugName: name,
        name: (id, context) => (closureOf(roots, context).has(id) ? name : null),
        priority: parts.length - index,
      })),
    },
  });
  await bundle.close();
  return output.filter((file) => file.type === 'chunk');
}

/** The folders of the packages whose code is in the bundles. */
function packagesIn(chunks: readonly OutputChunk[]): readonly string[] {
  const folders = chunks
    .flatMap(({ moduleIds }) => moduleIds)
    .map((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0])
    .filter((folder) => folder !== undefined);
  return [...new Set(folders)].toSorted();
}

/** Their licences ask to be passed on with the code. */
async function copyLicences(packages: readonly string[], into: string): Promise<void> {
  await mkdir(into, { recursive: true });
  for (const folder of packages) {
    const licence = (await readdir(folder)).find((name) => /^licen[cs]e/i.test(name));
    if (licence === undefined) throw new Error(`${folder} has no licence to pass on`);
    const scope = basename(dirname(folder));
    await copyFile(
      join(folder, licence),
      join(into, `${scope === 'node_modules' ? '' : `${scope}-`}${basename(folder)}.txt`),
    );
  }
}

await rm(join(dist, sharedFolder), { recursive: true, force: true });
await rm(join(dist, cliFolder), { recursive: true, force: true });
await mkdir(join(dist, cliFolder));
await writeFile(join(dist, cliFolder, 'package.json'), '{ "type": "commonjs" }\n');
await copyLicences(packagesIn(await make()), join(dist, sharedFolder, 'licences'));
