/** Where the bundles of the command line are (testbed/bundle.ts). */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './paths.ts';

export const bundleFolder = join(projectRoot, 'dist/tool/bundle');

/** Their paths, in the order of their names; none before the build. */
export function bundlesThere(): readonly string[] {
  if (!existsSync(bundleFolder)) return [];
  return readdirSync(bundleFolder)
    .filter((name) => name.endsWith('.cjs'))
    .sort()
    .map((name) => join(bundleFolder, name));
}
