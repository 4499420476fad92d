import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

function findProjectRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/** The project's own folder, whether this file runs as common/paths.ts or as dist/common/paths.js. */
export const projectRoot = findProjectRoot();
