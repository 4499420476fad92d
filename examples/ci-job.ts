/**
 * A CI job: does this machine's kernel give guests what is asked for? Exit code as `wcvmm verify`.
 * node ci-job.js 0000:01:00.0
 */
import { spawnSync } from 'node:child_process';
import { readReport } from 'wcvmm/report';

const device = process.argv[2] ?? '0000:01:00.0';
const maps = ['--map', 'bar2:0-64K=device', '--map', 'bar2:64K-128K=wc'];
const { status } = spawnSync('wcvmm', ['verify', '--device', device, ...maps, '--json', 'report.json'], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
process.exitCode = status ?? 2;
if (status === 0 || status === 1 || status === 3) {
  const { windows, summary } = await readReport('report.json');
  for (const { bar, attribute, stage2 } of windows) {
    console.log(`bar${bar} ${attribute}: stage 2 ${stage2.programmed ?? 'not shown'}`);
  }
  console.log(`${summary.match} checks match, ${summary.mismatch} do not`);
}
