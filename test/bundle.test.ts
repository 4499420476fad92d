/** The bundles that testbed/bundle.ts makes of the compiled command line. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';

const cli = join(projectRoot, 'dist/tool/cli/cli.js');
const folder = join(projectRoot, 'dist/tool/bundle');
const bundles = [
  cli,
  join(projectRoot, 'dist/tool/cli/preload.js'),
  ...readdirSync(folder)
    .filter((name) => name.endsWith('.cjs'))
    .map((name) => join(folder, name)),
];

/** Files that a bundle names by their URL: threads, and modules of devices. */
const named = bundles.flatMap((bundle) =>
  [...readFileSync(bundle, 'utf8').matchAll(/new URL\("([^"]+)", (?:require\("url"\)|\{\}|import\.meta)/g)].map(
    ([, path = '']) => fileURLToPath(new URL(path, pathToFileURL(bundle))),
  ),
);

test('a module in a bundle knows where its compiled self is, and that is there', () => {
  expect(named.filter((path) => path.endsWith('/dist/vmm/devices/doorbell.js')).length).toBeGreaterThan(0);
  expect(named.filter((path) => !existsSync(path))).toEqual([]);
});

test('of the project and its packages, bundles load nothing but bundles', () => {
  const loaded = bundles.flatMap((bundle) =>
    [...readFileSync(bundle, 'utf8').matchAll(/(?:= |\(|^)(?:require|import)\("([^"]+)"\)/gm)].map(
      ([, name = '']) => name,
    ),
  );
  expect(loaded.length).toBeGreaterThan(bundles.length);
  expect(loaded.filter((name) => !isBuiltin(name) && !/^\.\/|^\.\.\/bundle\//.test(name))).toEqual([]);
});

test('the version takes no more than the two files that say it', () => {
  const { stdout, stderr } = spawnSync(process.execPath, [cli, '--version'], {
    encoding: 'utf8',
    env: { ...process.env, NODE_DEBUG: 'module' },
  });
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  expect(stdout).toBe(`${version}\n`);
  expect(new Set(stderr.match(/dist\/tool\/\w+\/[\w.-]+\.c?js"/g))).toHaveProperty('size', 2);
});

test('commander says the same version', () => {
  const { stdout, status } = spawnSync(process.execPath, [cli, '--debug', '--version'], { encoding: 'utf8' });
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  expect([stdout, status]).toEqual([`${version}\n`, 0]);
});
