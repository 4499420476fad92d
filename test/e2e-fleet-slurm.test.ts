/** fleet/slurm with Debian's Slurm: two slurmd on loopback, each for an emulated instance. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { Cluster } from './fleet/cluster.ts';
import { NodeNetwork } from './fleet/nodes.ts';

const PROGRAMS = ['/usr/sbin/slurmctld', '/usr/sbin/slurmd', '/usr/sbin/munged', '/usr/bin/sbatch'];
const missing = PROGRAMS.filter((path) => !existsSync(path));
const isHere = missing.length === 0 && process.getuid?.() === 0;

/** Verifying on an emulator takes as long as it takes on a busy machine. */
const MINUTES = 600_000;

describe.skipIf(!isHere)(`a fleet by Slurm (skipped without root and ${PROGRAMS.join(', ')})`, () => {
  const network = new NodeNetwork();
  const cluster = new Cluster(network, [
    { name: 'good-1', kind: 'arm64' },
    { name: 'wrong-1', kind: 'x86-amd' },
  ]);
  const job = join(projectRoot, 'fleet/slurm/wcvmm.sbatch');

  beforeAll(async () => {
    await network.start([
      { name: 'good-1', arch: 'arm64', kernel: 'patched' },
      { name: 'wrong-1', arch: 'x86-amd', kernel: 'wrong-type' },
    ]);
    for (const name of ['good-1', 'wrong-1']) await network.ssh(name, 'wcvmm unbind 0000:01:00.0');
    await cluster.start();
  });
  afterAll(async () => {
    cluster.stop();
    await network.stop();
  });

  test('a node that was never verified is drained when slurmd starts', async () => {
    for (const name of ['good-1', 'wrong-1']) {
      await cluster.until(name, ({ state }) => state.includes('DRAIN'));
      expect(await cluster.node(name)).toMatchObject({ reason: 'wcvmm: not verified: no verdict' });
    }
  });

  test(
    'the job fails; the bad node is drained with its reason, and the good one is not',
    { timeout: MINUTES },
    async () => {
      await cluster.run('scontrol', 'update', 'nodename=good-1,wrong-1', 'state=resume');
      const output = join(network.folder, 'job.out');
      const { code } = await cluster.run('sbatch', '--wait', '--nodes=2', `--output=${output}`, job);
      const said = readFileSync(output, 'utf8');
      expect(said).toContain('wcvmm: as expected');
      expect(said).toContain('wcvmm: differs: ');
      expect(code).not.toBe(0);
      await cluster.until('wrong-1', ({ state }) => state.includes('DRAIN'));
      expect((await cluster.node('wrong-1')).reason).toMatch(/^wcvmm: differs: .*stage 2 is NPT WC/);
      await cluster.until('good-1', ({ state }) => state.startsWith('IDLE'));
      expect(await cluster.node('good-1')).toEqual({ state: 'IDLE', reason: '' });
      expect((await cluster.run('srun', '--nodelist=good-1', 'echo', 'it works')).stdout).toBe('it works');
      for (const name of ['good-1', 'wrong-1'])
        expect((await network.ssh(name, 'readlink /sys/bus/pci/devices/0000:01:00.0/driver')).stdout).toBe('');
    },
  );

  test('the health check leaves a good node alone, and drains it when its verdict is stale', async () => {
    await cluster.checkHealthEvery(1);
    // A check that ran: it gives a node back its own reason.
    await cluster.run('scontrol', 'update', 'nodename=wrong-1', 'state=drain', 'reason=wcvmm: to be replaced');
    await cluster.until('wrong-1', ({ reason }) => reason.startsWith('wcvmm: differs'));
    expect(await cluster.node('good-1')).toEqual({ state: 'IDLE', reason: '' });
    cluster.writeNodeConf(0);
    await cluster.until('good-1', ({ state }) => state.includes('DRAIN'));
    expect((await cluster.node('good-1')).reason).toBe('wcvmm: not verified: stale: older than 0 seconds');
  });

  test("somebody else's reason stays", async () => {
    await cluster.run('scontrol', 'update', 'nodename=wrong-1', 'state=drain', 'reason=a fan');
    await cluster.run('scontrol', 'update', 'nodename=good-1', 'state=drain', 'reason=wcvmm: old');
    // Both are checked in the same round or one after the other; what was said of the one shows that a check has run since.
    await cluster.until('good-1', ({ reason }) => reason.includes('stale'));
    expect((await cluster.node('wrong-1')).reason).toBe('a fan');
  });
});
