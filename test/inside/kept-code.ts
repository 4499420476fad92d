/** Runs inside a testbed: whether V8 takes the code that is kept of each bundle of the command line; one line of JSON. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { bundleFolder } from '../../common/bundles.ts';
import { codePath, compiled } from '../../common/code-cache.ts';

const taken: Record<string, boolean> = {};
for (const name of readdirSync(bundleFolder).filter((file) => file.endsWith('.code'))) {
  const bundle = join(bundleFolder, name.slice(0, name.indexOf('.cjs') + '.cjs'.length));
  taken[name] = compiled(bundle, readFileSync(codePath(bundle))).cachedDataRejected === false;
}
process.stdout.write(`${JSON.stringify({ name: 'taken', found: taken })}\n`);
