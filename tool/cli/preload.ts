/**
 * wcvmm, started and loaded before its command line is known: on Bochs that takes longer than most commands.
 * `node preload.js JOB LOADED` creates the file LOADED and then waits at the FIFO JOB for {args, env}, as JSON.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../common/paths.ts';
import { pageSize } from '../../vmm/sys/libc.ts';
import { preloadCommands } from './commands/program.ts';
import { main } from './main.ts';

async function loadThenRun([jobPath = '', loadedPath = '']: readonly string[]): Promise<void> {
  await preloadCommands();
  // The first call loads the native code.
  pageSize();
  writeFileSync(loadedPath, '');

  const job = JSON.parse(readFileSync(jobPath, 'utf8')) as { args: string[]; env: Record<string, string> };
  Object.assign(process.env, job.env);
  process.chdir('/session/work');
  process.argv = [process.argv0, join(projectRoot, 'dist/tool/cli/cli.js'), ...job.args];
  await main(job.args);
}

void loadThenRun(process.argv.slice(2));
