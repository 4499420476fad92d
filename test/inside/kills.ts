/**
 * `npm run kills -- [COUNT]`: kill -9 at random moments of `wcvmm verify --testbed`, on each kind of instance in turn, and each eighth time of `npm start`; 200
 * unless told otherwise. After each kill no process of theirs may live on, and after one more verification that nobody kills, no mount, no trace instance and no
 * temporary folder may be left. Exit code 1 otherwise. `events` instead of a number: three kills, each when something has happened.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, watch, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { projectRoot } from '../../common/paths.ts';
import { countArgument } from '../count-argument.ts';
import { MACHINES } from '../../testbed/machine/names.ts';

const USAGE = `Usage: npm run kills -- [COUNT]

Kills wcvmm verify --testbed, and each eighth time npm start, at COUNT random moments (200), and looks for what is left. Needs a
warm cache; seconds for each.

Examples:
  $ npm run kills
  $ npm run kills -- 20

Exit code: 0 nothing was left, 1 something was, 2 a bad argument.
`;
const isByEvents = process.argv[2] === 'events';
const GRACE = 30_000;

const asked = isByEvents ? null : countArgument(USAGE, 200);

const folder = mkdtempSync(join(tmpdir(), 'wcvmm-kills-'));
mkdirSync(join(folder, 'tmp'), { mode: 0o1777 });
const env = { ...process.env, TMPDIR: join(folder, 'tmp'), WCVMM_KILLS: folder };
const cli = join(projectRoot, 'dist/tool/cli/cli.js');

type Command = readonly [string, ...string[]];

function verify(machine: string): Command {
  return [process.execPath, cli, 'verify', '--testbed', machine, '--json', join(folder, 'report.json')];
}

interface Victim {
  readonly name: string;
  readonly command: Command;
  /** In lengths of arm64's verification: so kills fall on all of it. */
  readonly length: number;
}

const VERIFICATIONS = MACHINES.map((machine): Victim => ({
  name: `verify ${machine}`,
  command: verify(machine),
  length: machine === 'arm64' ? 1 : 1.5,
}));

const START: Victim = { name: 'npm start', command: ['npm', 'start'], length: 5 };

function victim(kill: number): Victim {
  return (kill % 8 === 7 ? undefined : VERIFICATIONS[kill % VERIFICATIONS.length]) ?? START;
}

/** Until standard error has `words`. */
function saying(words: string): (child: ChildProcess) => Promise<void> {
  return (child) =>
    new Promise((resolve) => {
      let said = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes(words)) resolve();
      });
    });
}

/** When arm64's verification has a session, when the instance has booted, and while guests run. */
const EVENTS: readonly ((child: ChildProcess) => Promise<void>)[] = [
  () =>
    new Promise((resolve) => {
      const watcher = watch(join(folder, 'tmp'), () => {
        watcher.close();
        resolve();
      });
    }),
  saying('running the control guest'),
  saying('running guests on the BAR'),
];
const count = asked ?? EVENTS.length;

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

/** The trace instances of this machine that are of a process that is gone. */
function traceInstances(): readonly string[] {
  try {
    return readdirSync('/sys/kernel/tracing/instances').filter((name) => {
      const pid = /^wcvmm-(\d+)-/.exec(name)?.[1];
      return pid !== undefined && !existsSync(`/proc/${pid}`);
    });
  } catch {
    return [];
  }
}

const faults: string[] = [];

/** @returns how long it took, ms */
async function whole(name: string): Promise<number> {
  const began = Date.now();
  const [program, ...args] = verify('arm64');
  const child = spawn(program, args, { cwd: projectRoot, env, stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) faults.push(`the ${name} verification ended with ${code}`);
  return Date.now() - began;
}

const before = mounts();
const unit = isByEvents ? 0 : await whole('first');
let most = 0;
let late = 0;
for (let kill = 0; kill < count; kill += 1) {
  if (process.stderr.isTTY) process.stderr.write(`\r\u{1B}[Kkill ${kill + 1} of ${count}`);
  const event = isByEvents ? EVENTS[kill] : undefined;
  const { name, command, length } = victim(event === undefined ? kill : 0);
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd: projectRoot, env, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  child.stderr.resume();
  const ended = once(child, 'exit');
  const after = Math.floor(Math.random() * unit * length);
  await Promise.race([event?.(child) ?? pause(after), ended]);
  // All that a terminal would kill, or the one process that the kernel's own killer would choose.
  const isStart = name === START.name;
  if (child.pid !== undefined && child.exitCode === null) process.kill(isStart ? -child.pid : child.pid, 'SIGKILL');
  else late += 1;
  await ended;
  for (const one of await allGone())
    faults.push(`${name} killed ${event === undefined ? `after ${after} ms` : `at event ${kill}`}: ${one} lives on`);
  most = Math.max(most, readdirSync(join(folder, 'tmp')).length);
}
if (process.stderr.isTTY) process.stderr.write('\r\u{1B}[K');
await whole('next');
const left = readdirSync(join(folder, 'tmp')).filter((name) => name.startsWith('wcvmm-'));
for (const name of left) faults.push(`${name} is left`);
for (const name of traceInstances()) faults.push(`trace instance ${name} is left`);
if (mounts() !== before) faults.push(`${mounts()} mounts instead of ${before}`);
rmSync(folder, { recursive: true, force: true });
process.stdout.write(
  `${count - late} kills, ${late} came too late; at most ${most} temporary folders lay about until the next run; then ${left.length}\n`,
);
for (const fault of faults) process.stdout.write(`✗ ${fault}\n`);
if (faults.length === 0) process.stdout.write('✓ nothing is left, and the next run works\n');
process.exitCode = faults.length === 0 ? 0 : 1;
