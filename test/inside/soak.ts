/**
 * `npm run soak -- [SECONDS]`: does anything grow? Half of the time one process runs guests and whole verifications by the library, and
 * counts its files, mappings and memory; beside it `wcvmm verify` runs again and again, from a process of its own, and what it leaves on the
 * machine is counted. An hour unless a time is given. Needs /dev/kvm and no device. Exit code 1 where something grew.
 */
import { fork, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { once } from 'node:events';
import { scoped } from '../../common/scope.ts';
import { loadGuest } from '../../tool/verify/guest/image.ts';
import { runGuest } from '../../tool/verify/guest/run.ts';
import { verify } from '../../tool/verify/verify.ts';
import { requireArchitecture } from '../../vmm/kvm/arch/index.ts';
import { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import { libcPort } from '../../vmm/sys/libc.ts';
import { commandLines } from '../command-lines.ts';
import { countArgument } from '../count-argument.ts';
import { growth, summary } from './samples.ts';
import type { Sample } from './samples.ts';

const USAGE = `Usage: npm run soak -- [SECONDS]

Runs guests and verifications for SECONDS (3600), and looks for what grows. Needs /dev/kvm and no device.

Examples:
  $ npm run soak
  $ npm run soak -- 60

Exit code: 0 nothing grew, 1 something did, 2 a bad argument.
`;
const BESIDE = 'WCVMM_SOAK_BESIDE';
const arch = requireArchitecture();

function ofThisProcess(): Sample {
  (globalThis as { gc?: () => void }).gc?.();
  const rss = /^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return {
    files: readdirSync('/proc/self/fd').length,
    mappings: readFileSync('/proc/self/maps', 'utf8').split('\n').length,
    threads: readdirSync('/proc/self/task').length,
    'memory, KiB': Number(rss),
  };
}

/** What runs can leave behind on the machine. @param folder theirs for temporary files @param pids theirs */
function leftBy(folder: string, pids: ReadonlySet<number>): Sample {
  const helpers = commandLines().filter((line) => pids.has(Number(/\0wcvmm-helper\0(\d+)\0/.exec(line)?.[1])));
  return { 'helper processes': helpers.length, 'temporary folders': readdirSync(folder).length };
}

async function guests(until: number, take: (sample: Sample) => void): Promise<number> {
  const image = await loadGuest(arch.name);
  const choice = { source: 'memory', device: null, iommu: 'auto', maps: [], enforce: false } as const;
  const asked = {
    command: 'verify',
    choice,
    image,
    timeoutMs: 60_000,
    allowWrites: false,
    overrides: [],
    whole: false,
  } as const;
  let runs = 0;
  await scoped(async (ends) => {
    const thread = new VcpuThread();
    ends.defer(() => thread.close());
    while (Date.now() < until) {
      for (let run = 0; run < 50; run += 1) {
        await runGuest(libcPort, arch, thread, { image, windows: [], stage1: [], cells: [], timeoutMs: 60_000 });
      }
      await verify(libcPort, arch, asked);
      runs += 51;
      take(ofThisProcess());
    }
  });
  return runs;
}

async function commands(until: number, take: (sample: Sample) => void): Promise<number> {
  const cli = fileURLToPath(new URL('../../tool/cli/cli.js', import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'wcvmm-soak-'));
  const pids = new Set<number>();
  let runs = 0;
  while (Date.now() < until) {
    const args = [cli, 'verify', '--source', 'memory', '--json', '/dev/null'];
    const { status, pid } = spawnSync(process.execPath, args, {
      stdio: 'ignore',
      env: { ...process.env, TMPDIR: folder },
    });
    pids.add(pid);
    if (status === null || status === 2) throw new Error(`wcvmm verify ended with ${status} after ${runs} runs`);
    runs += 1;
    take(leftBy(folder, pids));
    await Promise.resolve();
  }
  rmSync(folder, { recursive: true });
  return runs;
}

async function main(seconds: number): Promise<void> {
  const until = Date.now() + seconds * 1000;
  // Not a thread: whatever its heap holds would be counted with this process's.
  const beside = fork(fileURLToPath(import.meta.url), [String(until)], { env: { ...process.env, [BESIDE]: 'yes' } });
  const commandSamples: Sample[] = [];
  beside.on('message', (sample: Sample) => commandSamples.push(sample));
  const commandsEnded = once(beside, 'exit');
  const samples: Sample[] = [];
  const runs = await guests(until, (sample) => samples.push(sample));
  await commandsEnded;
  process.stdout.write(`${runs} runs in one process\n${summary(samples)}\n`);
  process.stdout.write(`${commandSamples.length} times wcvmm verify\n${summary(commandSamples)}\n`);
  const grown = [...growth(samples), ...growth(commandSamples)];
  for (const one of grown) process.stdout.write(`✗ ${one}\n`);
  if (grown.length === 0) process.stdout.write('✓ nothing grew\n');
  process.exitCode = grown.length === 0 ? 0 : 1;
}

if (process.env[BESIDE] === undefined) await main(countArgument(USAGE, 3600));
else await commands(Number(process.argv[2]), (sample) => process.send?.(sample));
