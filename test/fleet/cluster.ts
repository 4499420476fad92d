/** Debian's Slurm in the network of emulated instances: a slurmd for each of some, which asks the instance over SSH. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../common/paths.ts';
import { executable } from './nodes.ts';
import type { NodeNetwork, Ran } from './nodes.ts';

export interface ClusterNode {
  readonly name: string;
  readonly kind: string;
}

export class Cluster {
  readonly #network: NodeNetwork;
  readonly #folder: string;
  readonly #nodes: readonly ClusterNode[];
  readonly #processes: ChildProcess[] = [];
  readonly #env: Record<string, string>;

  constructor(network: NodeNetwork, nodes: readonly ClusterNode[]) {
    this.#network = network;
    this.#nodes = nodes;
    this.#folder = join(network.folder, 'slurm');
    this.#env = {
      PATH: process.env['PATH'] ?? '',
      SLURM_CONF: join(this.#folder, 'slurm.conf'),
      WCVMM_CONF: join(this.#folder, 'node.conf'),
      WCVMM_NODE: join(projectRoot, 'fleet/node/wcvmm-node'),
    };
  }

  async start(): Promise<void> {
    for (const folder of ['', 'state', ...this.#nodes.map(({ name }) => name)])
      mkdirSync(join(this.#folder, folder), { recursive: true, mode: 0o755 });
    this.#writeConfiguration(3600);
    this.writeNodeConf(86_400);
    this.#writeScripts();
    const [socket, key] = [join(this.#folder, 'munge.socket'), join(this.#folder, 'munge.key')];
    writeFileSync(key, execFileSync('head', ['-c', '1024', '/dev/urandom']), { mode: 0o400 });
    const files = ['pid', 'log', 'seed'].map((what) => `--${what}-file=${join(this.#folder, `munge.${what}`)}`);
    this.#spawn('munged', ['--foreground', '--force', `--socket=${socket}`, `--key-file=${key}`, ...files]);
    while ((await this.run('munge', '-n', '-S', socket)).code !== 0);
    this.#spawn('slurmctld', ['-D']);
    for (const { name } of this.#nodes) this.#spawn('slurmd', ['-D', '-N', name]);
  }

  /** Seconds between two runs of the HealthCheckProgram, from now on. */
  async checkHealthEvery(seconds: number): Promise<void> {
    this.#writeConfiguration(seconds);
    await this.run('scontrol', 'reconfigure');
  }

  run(...words: readonly string[]): Promise<Ran> {
    return this.#network.run(words, { env: this.#env });
  }

  async node(name: string): Promise<{ readonly state: string; readonly reason: string }> {
    const { stdout } = await this.run('scontrol', 'show', 'node', name);
    return {
      state: /State=(\S+)/.exec(stdout)?.[1] ?? '',
      reason: /Reason=(.*?)(?: \[\S+\])?$/m.exec(stdout)?.[1] ?? '',
    };
  }

  async until(
    name: string,
    wanted: (node: { readonly state: string; readonly reason: string }) => boolean,
  ): Promise<void> {
    while (!wanted(await this.node(name)));
  }

  stop(): void {
    for (const child of this.#processes.toReversed()) child.kill('SIGKILL');
  }

  writeNodeConf(maxAge: number): void {
    const kinds = this.#nodes.map(({ name, kind }) => `${name}) WCVMM_KIND=${kind} ;;`).join(' ');
    writeFileSync(
      join(this.#folder, 'node.conf'),
      [
        'WCVMM_DEVICE=0000:01:00.0',
        'WCVMM_ARGUMENTS="-m bar2:0-64K=device -m bar2:64K-128K=wc"',
        `WCVMM_PROFILE=${join(projectRoot, 'fleet/ansible/profile.json')}`,
        `WCVMM_MAX_AGE=${maxAge}`,
        `WCVMM_STATE=${this.#folder}/$SLURMD_NODENAME`,
        `WCVMM=${join(this.#folder, 'wcvmm')}`,
        `case $SLURMD_NODENAME in ${kinds} esac`,
        '',
      ].join('\n'),
    );
  }

  /** What asks a machine asks the instance; what only reads files runs here. */
  #writeScripts(): void {
    const ssh = `ssh ${this.#network.sshOptions.join(' ')}`;
    const addresses = this.#nodes
      .map(({ name }) => `${name}) address=${this.#network.nodes.get(name)?.address ?? ''} ;;`)
      .join(' ');
    const here = `exec ${process.execPath} ${projectRoot}/dist/tool/cli/cli.js "$@"`;
    executable(
      join(this.#folder, 'wcvmm'),
      `#!/bin/sh\ncase $SLURMD_NODENAME in ${addresses} esac\ncase $1 in compare | report) ${here} ;; esac\nexec ${ssh} root@$address wcvmm "$@"\n`,
    );
    const given = Object.entries(this.#env).map(([name, value]) => `export ${name}='${value}'\n`);
    executable(join(this.#folder, 'health'), `#!/bin/sh\n${given.join('')}exec ${projectRoot}/fleet/slurm/health\n`);
  }

  #writeConfiguration(healthCheckInterval: number): void {
    const at = (name: string): string => join(this.#folder, name);
    writeFileSync(
      at('slurm.conf'),
      `ClusterName=wcvmm
SlurmctldHost=${hostname()}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=${at('munge.socket')}
StateSaveLocation=${at('state')}
SlurmctldPidFile=${at('slurmctld.pid')}
SlurmctldLogFile=${at('slurmctld.log')}
SlurmdPidFile=${at('slurmd.%n.pid')}
SlurmdLogFile=${at('slurmd.%n.log')}
SlurmdSpoolDir=${at('%n')}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
HealthCheckProgram=${at('health')}
HealthCheckInterval=${healthCheckInterval}
Epilog=${at('health')}
${this.#nodes.map(({ name }, index) => `NodeName=${name} NodeHostname=${hostname()} NodeAddr=127.0.0.1 Port=${17_001 + index} CPUs=1\n`).join('')}PartitionName=all Nodes=ALL Default=YES State=UP
`,
    );
  }

  #spawn(program: string, args: readonly string[]): void {
    const [command, ...words] = this.#network.inside(program, ...args);
    this.#processes.push(
      spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...words], { env: this.#env, stdio: 'ignore' }),
    );
  }
}
