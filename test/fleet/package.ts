/** What docs/fleet.md makes with npm for a node's architecture, of this project as it is compiled. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { progressOn } from '../../common/progress.ts';
import { machineOf } from '../../testbed/machine/index.ts';
import { appEntries } from '../../testbed/rootfs/app.ts';
import { executable } from './nodes.ts';

/** Returns the archive, which is in `folder`. */
export async function archiveFor(arch: string, folder: string): Promise<string> {
  const root = join(folder, `bundle-${arch}`);
  const entries = await appEntries(machineOf(arch), null, progressOn(process.stderr), new AbortController().signal);
  for (const entry of entries) {
    if (entry.kind !== 'file') continue;
    const inside = entry.path.replace(/^wcvmm\//, '');
    const path = join(root, inside.startsWith('node_modules/') ? inside : `node_modules/wcvmm/${inside}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, entry.data);
    chmodSync(path, entry.mode);
  }
  mkdirSync(join(root, 'node_modules/.bin'));
  // The instances have no /usr/bin/env.
  executable(
    join(root, 'node_modules/.bin/wcvmm'),
    '#!/bin/sh\nexec node /opt/wcvmm/node_modules/wcvmm/dist/tool/cli/cli.js "$@"\n',
  );
  const archive = join(folder, `wcvmm-${arch}.tar.gz`);
  await execa('tar', ['-C', root, '-czf', archive, 'node_modules']);
  return archive;
}
