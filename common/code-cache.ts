/**
 * V8's code of the bundles (testbed/bundle.ts), which the build keeps beside them: to compile them anew takes a third of a short
 * run. V8 takes no code of another version of itself, or of other flags, and then compiles; a bundle's name has its contents in it.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Script, constants } from 'node:vm';

const require = createRequire(import.meta.url);

/** What code is for: it is not the same on all architectures, and V8 does not ask which it is from. */
const MADE_FOR = `${process.version}-${process.arch}`;

/** Where a bundle's code is, for the Node that asks. */
export function codePath(bundle: string): string {
  return `${bundle}.${MADE_FOR}.code`;
}

function readOrNull(path: string): Buffer | null {
  try {
    const bytes = readFileSync(path);
    return bytes.byteLength === 0 ? null : bytes;
  } catch {
    return null;
  }
}

/** What V8 makes of a bundle; with code that it takes, it compiles nothing. */
export function compiled(bundle: string, cachedData: Buffer | null): Script {
  return new Script(
    `(function (exports, require, module, __filename, __dirname) { ${readFileSync(bundle, 'utf8')}\n})`,
    {
      filename: bundle,
      ...(cachedData !== null && { cachedData }),
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    },
  );
}

type Load = (
  exports: unknown,
  require: (id: string) => unknown,
  module: NodeJS.Module | Bundle,
  path: string,
  folder: string,
) => void;

/** What a bundle's own `module` is where another one asks for it: Node's way from a name to a file takes longer than to load it. */
interface Bundle {
  exports: unknown;
}

const BUNDLE = /^\.\.?\/.*\.cjs$/;

/**
 * From now on bundles are loaded with their code.
 *
 * @param onScript takes those that are loaded, none with code; without it, a bundle that has none is left to Node
 */
export function loadBundlesWithCode(onScript?: (bundle: string, script: Script) => void): void {
  const { extensions } = require;
  // Who keeps the code has seen to it before the command line.
  if (extensions['.cjs'] !== undefined) return;
  const plain = extensions['.js'];
  const loaded = new Map<string, Bundle>();
  // Code that is kept is of what is called from now on, and nothing older.
  const codeOf = (path: string): Buffer | null => (onScript === undefined ? readOrNull(codePath(path)) : null);

  const load = (path: string, cachedData: Buffer | null, module: Bundle, node: NodeJS.Module): void => {
    loaded.set(path, module);
    const folder = dirname(path);
    const script = compiled(path, cachedData);
    onScript?.(path, script);
    const ask = (id: string): unknown => (BUNDLE.test(id) ? bundleAt(join(folder, id), node) : node.require(id));
    (script.runInThisContext() as Load)(module.exports, ask, module, path, folder);
  };
  const bundleAt = (path: string, node: NodeJS.Module): unknown => {
    const known = loaded.get(path);
    if (known !== undefined) return known.exports;
    const cachedData = codeOf(path);
    if (cachedData === null && onScript === undefined) return node.require(path);
    const bundle: Bundle = { exports: {} };
    load(path, cachedData, bundle, node);
    return bundle.exports;
  };
  extensions['.cjs'] = (module, path) => {
    const cachedData = codeOf(path);
    if (cachedData === null && onScript === undefined) return plain(module, path);
    load(path, cachedData, module, module);
  };
}
