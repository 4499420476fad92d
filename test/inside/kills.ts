/**
 * `npm run kills -- [COUNT]`: kill -9 at random moments of `wcvmm verify --testbed arm64` and, each fourth time, of `npm start`; 200 unless told otherwise. After each
 * kill no process of theirs may live on, and after one more verification that nobody kills, no mount and no temporary folder may be left. Exit code 1 otherwise.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { projectRoot } from '../../common/paths.ts';

const count = Number(process.argv[2] ?? 200);
const LONGEST = 8000;
const GRACE = 30_000;

const folder = mkdtempSync(join(tmpdir(), 'wcvmm-kills-'));
mkdirSync(join(folder, 'tmp'), { mode: 0o1777 });
const env = { ...process.env, TMPDIR: join(folder, 'tmp'), WCVMM_KILLS: folder };
const cli = join(projectRoot, 'dist/tool/cli/cli.js');
const verify = [process.execPath, cli, 'verify', '--testbed', 'arm64', '--json', join(folder, 'report.json')] as const;

/** Of all processes that have this run's mark in their environment; zombies have none. */
function living(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const isOurs = readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`WCVMM_KILLS=${folder}`);
        return isOurs
          ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').slice(0, 100)}`]
          : [];
      } catch {
        return [];
      }
    });
}

function mounts(): number {
  return readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length;
}

async function allGone(): Promise<readonly string[]> {
  const until = Date.now() + GRACE;
  while (living().length > 0 && Date.now() < until) await pause(50);
  return living();
}

const faults: string[] = [];
const before = mounts();
let most = 0;
for (let kill = 0; kill < count; kill += 1) {
  const isStart = kill % 4 === 3;
  const [program, ...args] = isStart ? (['npm', 'start'] as const) : verify;
  const child = spawn(program, args, { cwd: projectRoot, env, stdio: 'ignore', detached: true });
  const ended = once(child, 'exit');
  const after = Math.floor(Math.random() * LONGEST);
  await Promise.race([pause(after), ended]);
  // All that a terminal would kill, or the one process that the kernel's own killer would choose.
  if (child.pid !== undefined && child.exitCode === null) process.kill(isStart ? -child.pid : child.pid, 'SIGKILL');
  await ended;
  for (const one of await allGone())
    faults.push(`${isStart ? 'npm start' : 'verify'} killed after ${after} ms: ${one} lives on`);
  most = Math.max(most, readdirSync(join(folder, 'tmp')).length);
}
const last = spawn(verify[0], verify.slice(1), { cwd: projectRoot, env, stdio: ['ignore', 'ignore', 'inherit'] });
const [code] = (await once(last, 'exit')) as [number | null];
if (code !== 0) faults.push(`the next verification ended with ${code}`);
const left = readdirSync(join(folder, 'tmp')).filter((name) => name.startsWith('wcvmm-'));
for (const name of left) faults.push(`${name} is left`);
if (mounts() !== before) faults.push(`${mounts()} mounts instead of ${before}`);
rmSync(folder, { recursive: true, force: true });
process.stdout.write(
  `${count} kills; at most ${most} temporary folders lay about until the next run; then ${left.length}\n`,
);
for (const fault of faults) process.stdout.write(`✗ ${fault}\n`);
if (faults.length === 0) process.stdout.write('✓ nothing is left, and the next run works\n');
process.exitCode = faults.length === 0 ? 0 : 1;
