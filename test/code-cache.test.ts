/** V8's code of the bundles, which the build keeps beside them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codePath, compiled } from '../common/code-cache.ts';
import { projectRoot } from '../common/paths.ts';

const bundles = readdirSync(join(projectRoot, 'dist/tool/bundle'))
  .filter((name) => name.endsWith('.cjs'))
  .map((name) => join(projectRoot, 'dist/tool/bundle', name));

function bundle(name: string): string {
  // Others' names begin with it: verify-host and verify-linux.
  const found = bundles.find((path) => new RegExp(`/${name}-[\\w-]{8}\\.cjs$`).test(path));
  if (found === undefined) throw new Error(`there is no bundle ${name}`);
  return found;
}

describe('the code that the build kept', () => {
  test.each(['main', 'bare', 'verify'])('V8 takes that of %s', (name) => {
    const path = bundle(name);
    expect(compiled(path, readFileSync(codePath(path))).cachedDataRejected).toBe(false);
  });

  test('V8 does not take that of another version', () => {
    const path = bundle('main');
    const code = readFileSync(codePath(path));
    // The second word of it says which version it is of.
    code.writeUInt32LE((code.readUInt32LE(4) ^ 1) >>> 0, 4);
    expect(compiled(path, code).cachedDataRejected).toBe(true);
  });
});

describe('bundles are loaded', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wcvmm-code-'));
    writeFileSync(
      join(folder, 'one.cjs'),
      'exports.early = 1; exports.two = require("./two.cjs").of; exports.path = __filename;',
    );
    writeFileSync(
      join(folder, 'two.cjs'),
      'const one = require("./one.cjs"); exports.of = [one.early, typeof require("node:fs").readFileSync, __dirname];',
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** In a process of its own: how Node loads files is changed for good. */
  function load(): unknown {
    const module = pathToFileURL(join(projectRoot, 'dist/common/code-cache.js')).href;
    const script = `import { createRequire } from 'node:module';
      import { loadBundlesWithCode } from '${module}';
      loadBundlesWithCode();
      process.stdout.write(JSON.stringify(createRequire('${folder}/')('./one.cjs')));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(stderr).toBe('');
    return JSON.parse(stdout);
  }

  function keep(name: string, code: Buffer): void {
    writeFileSync(codePath(join(folder, name)), code);
  }

  test.each<[string, () => void]>([
    ['without code', () => {}],
    ['with an empty file of it', () => keep('one.cjs', Buffer.alloc(0))],
    ['with something else in its place', () => keep('one.cjs', Buffer.from('no code'))],
    ['with code of one of two', () => keep('one.cjs', compiled(join(folder, 'one.cjs'), null).createCachedData())],
    ['with code of both', () => keep('two.cjs', compiled(join(folder, 'two.cjs'), null).createCachedData())],
  ])('%s, once each, though they ask for one another', (_, prepare) => {
    prepare();
    expect(load()).toEqual({ early: 1, two: [1, 'function', folder], path: join(folder, 'one.cjs') });
  });
});
