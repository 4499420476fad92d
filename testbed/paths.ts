import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

function findProjectRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/** The project's own folder, whether this file runs as testbed/paths.ts or as dist/testbed/paths.js. */
export const projectRoot = findProjectRoot();
