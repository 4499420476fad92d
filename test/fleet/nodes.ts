/** Emulated instances as nodes of a fleet: reached by SSH, and that only from a network namespace of their own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { projectRoot } from '../../common/paths.ts';
import { runInTestbed } from '../../testbed/index.ts';
import type { KernelVariant } from '../../testbed/machine/machine.ts';
import type { MachineName } from '../../testbed/machine/names.ts';
import { sshServer } from './ssh-server.ts';

export interface NodeRequest {
  readonly name: string;
  readonly arch: MachineName;
  readonly kernel: KernelVariant;
}

export interface FleetNode extends NodeRequest {
  readonly address: string;
  /** Pulls its plug. */
  kill(): void;
  /** Ends when the instance has. */
  readonly ended: Promise<unknown>;
}

export interface Ran {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, as they came. */
  readonly all: string;
}

/** Addresses are those of the inventory example: nothing outside of the namespace sees them. */
const HOLDER = 'ip link set lo up && ip addr add 192.0.2.0/24 dev lo && echo ready && exec sleep infinity';

/** The bus that carries an instance's own devices is not the same everywhere. */
const SERIAL: Readonly<Partial<Record<MachineName, string>>> = {
  arm64: 'virtio-serial-device',
  'x86-amd': 'virtio-serial-pci',
};

export class NodeNetwork {
  readonly folder = mkdtempSync(join(tmpdir(), 'wcvmm-nodes-'));
  readonly key = join(this.folder, 'key');
  #processes: ChildProcess[] = [];
  #namespace = '';
  readonly nodes = new Map<string, FleetNode>();

  async start(requests: readonly NodeRequest[]): Promise<void> {
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', this.key]);
    // Emulators run as a user of their own.
    chmodSync(this.folder, 0o711);
    mkdirSync(join(this.folder, 'emulators'));
    chmodSync(join(this.folder, 'emulators'), 0o777);
    writeFileSync(join(this.folder, 'authorized_keys'), readFileSync(`${this.key}.pub`));
    const holder = this.#spawn('unshare', ['--net', '--', 'sh', '-c', HOLDER]);
    await said(holder, 'ready');
    this.#namespace = `/proc/${holder.pid}/ns/net`;
    const addressed = requests.map((request, index) => ({ ...request, address: `192.0.2.${index + 1}` }));
    const [command, ...args] = this.inside(
      process.execPath,
      join(projectRoot, 'dist/test/inside/ssh-relay.js'),
      ...addressed.map(({ address, name }) => `${address}=${this.#socket(name)}`),
    );
    await said(this.#spawn(command, args), 'ready');
    await Promise.all(addressed.map((node) => this.boot(node)));
  }

  /** Resolves when it is about to listen. */
  async boot(node: NodeRequest & { readonly address: string }): Promise<void> {
    const { name, arch, kernel } = node;
    const archive = await sshServer(arch);
    const script = join(projectRoot, 'test/fleet/node');
    const pid = join(this.folder, 'emulators', `${name}.pid`);
    rmSync(pid, { force: true });
    let output = '';
    const { promise: isUp, up, down } = waiting();
    const ended = runInTestbed({
      arch,
      kernel,
      run: { kind: 'program', args: ['sh', 'node', name, String(Math.floor(Date.now() / 1000))] },
      inputs: [archive, script, join(this.folder, 'authorized_keys')],
      timeout: 900,
      emulatorOptions: [
        ['-pidfile', pid],
        ['-chardev', `socket,id=ssh,path=${this.#socket(name)}`],
        ['-device', `${SERIAL[arch] ?? ''},id=sshbus`],
        ['-device', 'virtserialport,bus=sshbus.0,chardev=ssh,name=ssh'],
      ].flat(),
      stdout: (chunk) => {
        output += chunk.toString();
        if (Buffer.from(chunk).toString().includes('booted')) up();
      },
      stderr: () => {},
    }).catch((error: unknown) => error);
    void ended.then((error) => down(new Error(`${name} ended: ${String(error)} ${output}`)));
    await isUp;
    // An emulator that was killed leaves its file, and its number may be another process's by now.
    let isOver = false;
    void ended.then(() => (isOver = true));
    const kill = (): void => {
      if (!isOver && existsSync(pid)) process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL');
    };
    this.nodes.set(name, { ...node, kill, ended });
  }

  /** A command line in the nodes' network. */
  inside(...words: readonly string[]): [string, ...string[]] {
    return ['nsenter', `--net=${this.#namespace}`, '--', ...words];
  }

  /** Options of ssh for these nodes, which nobody has seen before. */
  get sshOptions(): readonly string[] {
    return [
      '-i',
      this.key,
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      'UserKnownHostsFile=/dev/null',
      '-o',
      'LogLevel=ERROR',
    ];
  }

  async ssh(name: string, command: string): Promise<Ran> {
    const address = this.nodes.get(name)?.address ?? '';
    return this.run(['ssh', ...this.sshOptions, `root@${address}`, command]);
  }

  /** In the nodes' network. */
  async run(
    words: readonly string[],
    options: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
  ): Promise<Ran> {
    const [command, ...args] = this.inside(...words);
    const { exitCode, stdout, stderr, all } = await execa(command, args, {
      reject: false,
      all: true,
      stdin: 'ignore',
      ...options,
    });
    return { code: exitCode, stdout, stderr, all };
  }

  async stop(): Promise<void> {
    for (const node of this.nodes.values()) node.kill();
    await Promise.all([...this.nodes.values()].map(({ ended }) => ended));
    for (const child of this.#processes.toReversed()) child.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  #spawn(command: string, args: readonly string[]): ChildProcess {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#processes.push(child);
    return child;
  }

  #socket(name: string): string {
    return join(this.folder, 'emulators', `${name}.sock`);
  }
}

function waiting(): { readonly promise: Promise<void>; readonly up: () => void; readonly down: (why: Error) => void } {
  let [up, down]: [() => void, (why: Error) => void] = [() => {}, () => {}];
  const promise = new Promise<void>((resolve, reject) => {
    [up, down] = [resolve, reject];
  });
  return { promise, up, down };
}

async function said(child: ChildProcess, word: string): Promise<void> {
  for await (const chunk of child.stdout ?? []) if (String(chunk).includes(word)) return;
  throw new Error(`${child.spawnargs.join(' ')} ended and never said ${word}`);
}

/** Of scripts that a test makes. */
export function executable(path: string, text: string): string {
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}
