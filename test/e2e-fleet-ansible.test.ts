/** fleet/ansible with Debian's Ansible on emulated instances. One boot of each is shared by all of it. */
import { createHash, randomBytes } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import type { FleetJson } from '../tool/fleet/json.ts';
import { NodeNetwork, executable } from './fleet/nodes.ts';
import type { NodeRequest, Ran } from './fleet/nodes.ts';
import { archiveFor } from './fleet/package.ts';

const ANSIBLE = '/usr/bin/ansible-playbook';
const isHere = existsSync(ANSIBLE) && process.getuid?.() === 0;

/** Changes with every file of it. */
const LIST = 'stat -c %n-%Y-%i /var/lib/wcvmm/*';

/** In the order of their addresses: the first two are those of the inventory example. */
const NODES = [
  { name: 'arm-1', arch: 'arm64', kernel: 'patched' },
  { name: 'amd-1', arch: 'x86-amd', kernel: 'patched' },
  { name: 'wrong-1', arch: 'x86-amd', kernel: 'wrong-type' },
  { name: 'stock-1', arch: 'arm64', kernel: 'stock' },
] as const satisfies readonly NodeRequest[];

/** Verifying on an emulator takes as long as it takes on a busy machine. */
const MINUTES = 600_000;

describe.skipIf(!isHere)(`a fleet by Ansible (skipped without root and ${ANSIBLE})`, { timeout: MINUTES }, () => {
  const network = new NodeNetwork();
  const fleet = join(network.folder, 'fleet');
  const ansible = join(fleet, 'ansible');
  const reports = join(ansible, 'reports');
  let env: Record<string, string> = {};

  beforeAll(async () => {
    cpSync(join(projectRoot, 'fleet'), fleet, { recursive: true });
    const bin = join(network.folder, 'bin');
    mkdirSync(bin);
    executable(join(bin, 'wcvmm'), `#!/bin/sh\nexec ${process.execPath} ${projectRoot}/dist/tool/cli/cli.js "$@"\n`);
    env = {
      PATH: `${bin}:${process.env['PATH'] ?? ''}`,
      HOME: network.folder,
      ANSIBLE_PRIVATE_KEY_FILE: network.key,
      ANSIBLE_HOST_KEY_CHECKING: 'False',
      ANSIBLE_NOCOLOR: '1',
      NO_COLOR: '1',
    };
    await network.start(NODES);
    // A new instance's device is not bound.
    for (const { name } of NODES) await network.ssh(name, 'wcvmm unbind 0000:01:00.0');
  });
  afterAll(() => network.stop());

  /** Hosts with their kinds and more variables of theirs. */
  function inventory(
    hosts: Readonly<Record<string, string>>,
    variables: Readonly<Record<string, object>> = {},
  ): string {
    const entries = Object.entries(hosts).map(([name, kind]) => [
      name,
      { ansible_host: network.nodes.get(name)?.address, wcvmm_kind: kind, ...variables[name] },
    ]);
    const shared = {
      ansible_user: 'root',
      wcvmm_device: '0000:01:00.0',
      wcvmm_maps: ['bar2:0-64K=device', 'bar2:64K-128K=wc'],
    };
    const path = join(ansible, 'test-inventory.yml');
    // YAML is a superset of JSON.
    writeFileSync(
      path,
      JSON.stringify({ all: { children: { wcvmm: { hosts: Object.fromEntries(entries), vars: shared } } } }),
    );
    return path;
  }

  async function play(...args: readonly string[]): Promise<Ran> {
    const ran = await network.run([ANSIBLE, 'site.yml', ...args], { env, cwd: ansible });
    onTestFailed(() => void process.stderr.write(`${ran.all}\n`));
    return ran;
  }

  /** Of each host: its state and the reasons. */
  function answer(): Readonly<Record<string, string>> {
    if (!existsSync(join(ansible, 'fleet.json'))) return {};
    const { groups } = JSON.parse(readFileSync(join(ansible, 'fleet.json'), 'utf8')) as FleetJson;
    return Object.fromEntries(
      groups.flatMap(({ hosts, state, reasons }) => hosts.map((host) => [host, [state, ...reasons].join('; ')])),
    );
  }

  const driver = async (name: string): Promise<string> =>
    (await network.ssh(name, 'basename "$(readlink /sys/bus/pci/devices/0000:01:00.0/driver)"')).stdout.trim();

  async function isBound(name: string): Promise<void> {
    while ((await driver(name)) !== 'vfio-pci');
  }

  /** Nothing is verified any more. */
  async function isIdle(name: string): Promise<void> {
    while ((await network.ssh(name, 'test -L /var/lib/wcvmm/lock')).code === 0);
  }

  test('docs/fleet.md as it stands: two healthy hosts', async () => {
    const modules = join(network.folder, 'npm/lib/node_modules');
    mkdirSync(modules, { recursive: true });
    symlinkSync(projectRoot, join(modules, 'wcvmm'));
    const work = join(network.folder, 'work');
    mkdirSync(work);
    const page = readFileSync(join(projectRoot, 'docs/fleet.md'), 'utf8');
    const blocks = [...page.matchAll(/^```sh fleet\n([^]*?)^```$/gm)].map(([, block]) => block ?? '');
    const commands = blocks.flatMap((block) => block.trim().split('\n'));
    expect(commands).toHaveLength(6);
    const script = commands.map((command) => `${command}\necho "### $?"\n`).join('');
    const { all } = await network.run(['sh', '-c', script], {
      env: { ...env, NPM_CONFIG_PREFIX: join(network.folder, 'npm') },
      cwd: work,
    });
    onTestFailed(() => void process.stderr.write(`${all}\n`));
    const [, , check = '', first = '', second = '', compare = ''] = all.split(/^### (?=\d)/m);
    expect(all.match(/^### \d+$/gm)).toEqual(Array(6).fill('### 0'));
    expect(changed(check)).toEqual(['amd-1 1', 'arm-1 1', 'localhost 0']);
    expect(first).toContain('2 of 2 hosts as expected');
    expect(changed(second)).toEqual(['amd-1 0', 'arm-1 0', 'localhost 0']);
    expect(compare).toContain('✓ 2 of 2 hosts as expected');
    expect(readdirSync(join(work, 'fleet/ansible/reports'))).toContain('arm-1.xml');
  });

  test('four hosts: two healthy, one with a wrong type, one with a stock kernel', async () => {
    const hosts = inventory({ 'arm-1': 'arm64', 'amd-1': 'x86-amd', 'wrong-1': 'x86-amd', 'stock-1': 'arm64' });
    const { code, all } = await play('-i', hosts);
    expect(answer()).toMatchObject({
      'arm-1': 'as expected',
      'amd-1': 'as expected',
      'wrong-1': expect.stringMatching(/^differs; .*stage 2 is/),
      'stock-1': expect.stringMatching(/^not verified; no report: E_COOKIE_UNSUPPORTED/),
    });
    expect(code).not.toBe(0);
    expect(all).toContain('2 of 4 hosts as expected');
    expect(readdirSync(reports).toSorted()).toEqual([
      'amd-1.json',
      'amd-1.xml',
      'arm-1.json',
      'arm-1.xml',
      'hosts.txt',
      'stock-1.error',
      'wrong-1.json',
      'wrong-1.xml',
    ]);
    for (const { name } of NODES) expect([name, await driver(name)]).toEqual([name, '']);
  });

  test('a second run is a no-op, on the nodes and here', async () => {
    const hosts = inventory({ 'arm-1': 'arm64', 'amd-1': 'x86-amd' });
    // The list of hosts is another one than before.
    await play('-i', hosts);
    const [before, report] = [(await network.ssh('arm-1', LIST)).stdout, statSync(join(reports, 'arm-1.json')).mtimeMs];
    const { code, all } = await play('-i', hosts);
    expect(changed(all)).toEqual(['amd-1 0', 'arm-1 0', 'localhost 0']);
    expect(code).toBe(0);
    expect(all).toContain('2 of 2 hosts as expected');
    expect([(await network.ssh('arm-1', LIST)).stdout, statSync(join(reports, 'arm-1.json')).mtimeMs]).toEqual([
      before,
      report,
    ]);
  });

  test('check mode changes nothing, and says what would be', async () => {
    const hosts = inventory({ 'arm-1': 'arm64', 'amd-1': 'x86-amd' }, { 'amd-1': { wcvmm_arguments: '--whole' } });
    const before = (await network.ssh('amd-1', 'cat /var/lib/wcvmm/verdict')).stdout;
    const { code, all } = await play('-i', hosts, '--check');
    expect(code).toBe(0);
    expect(changed(all)).toEqual(['amd-1 1', 'arm-1 0', 'localhost 0']);
    expect((await network.ssh('amd-1', 'cat /var/lib/wcvmm/verdict')).stdout).toBe(before);
  });

  test('wcvmm is installed where it is not', async () => {
    await network.ssh('amd-1', 'mv /bin/wcvmm /bin/wcvmm.image; mv /wcvmm /wcvmm.image');
    const archive = await archiveFor('x86-amd', network.folder);
    const hosts = inventory({ 'amd-1': 'x86-amd' }, { 'amd-1': { wcvmm_package: archive, wcvmm_max_age: 0 } });
    const { code } = await play('-i', hosts);
    expect(code).toBe(0);
    expect((await network.ssh('amd-1', 'readlink /bin/wcvmm')).stdout).toBe('/opt/wcvmm/node_modules/.bin/wcvmm');
    expect((await play('-i', hosts, '--check')).all).toContain('skipping: [amd-1]');
  });

  test('a kernel package is installed, and the node verified when that kernel runs', async () => {
    const node = network.nodes.get('stock-1');
    if (node === undefined) throw new Error('stock-1 is not there');
    const release = (await network.ssh('arm-1', 'uname -r')).stdout;
    const kernel = join(network.folder, 'kernel.deb');
    writeFileSync(kernel, randomBytes(200_000));
    const sum = createHash('sha1').update(readFileSync(kernel)).digest('hex');
    // An instance boots the kernel that it is given from outside: what can be seen is that the whole package arrives.
    const made = await network.ssh(
      'stock-1',
      `printf '#!/bin/sh\\n[ "$1 $(sha1sum <"$2")" = "-i ${sum}  -" ]\\n' >/root/dpkg && chmod +x /root/dpkg`,
    );
    expect(made.code).toBe(0);
    const rebooted = node.ended.then(() => network.boot({ ...node, kernel: 'patched' }));
    const hosts = inventory(
      { 'stock-1': 'arm64' },
      {
        'stock-1': {
          wcvmm_kernel_package: kernel,
          wcvmm_kernel_release: release,
          wcvmm_kernel_command: '/root/dpkg -i',
          wcvmm_reboot_command: 'trap "" HUP; (sleep 1; reboot -f) >/dev/null 2>&1 &',
          wcvmm_reboot_timeout: 120,
          ansible_ssh_private_key_file: network.key,
          ansible_ssh_common_args: '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null',
        },
      },
    );
    const { code } = await play('-i', hosts);
    expect(answer()).toEqual({ 'stock-1': 'as expected' });
    expect(code).toBe(0);
    await rebooted;
    expect(changed((await play('-i', hosts)).all)).toEqual(['localhost 0', 'stock-1 0']);
  });

  test('a host of a kind that the profile does not have is not verified', async () => {
    const { code } = await play('-i', inventory({ 'arm-1': 'new.metal' }));
    expect(answer()).toEqual({ 'arm-1': 'not verified; unknown kind: the profile has no new.metal' });
    expect(code).not.toBe(0);
  });

  test('Ctrl-C in the middle leaves no device bound, and no verdict', async () => {
    const hosts = inventory({ 'arm-1': 'arm64' }, { 'arm-1': { wcvmm_arguments: '--whole' } });
    const [command, ...args] = network.inside(ANSIBLE, 'site.yml', '-i', hosts);
    // With a shared connection it would be ssh's master that decides when the node hears of it.
    const own = { ...env, ANSIBLE_SSH_ARGS: '-o ControlMaster=no' };
    const running = execa(command, args, { env: own, cwd: ansible, reject: false, stdin: 'ignore', detached: true });
    await isBound('arm-1');
    // As a terminal does: to the whole group.
    process.kill(-(running.pid ?? 0), 'SIGINT');
    const { exitCode } = await running;
    expect(exitCode).not.toBe(0);
    await isIdle('arm-1');
    expect(await driver('arm-1')).toBe('');
    expect((await network.ssh('arm-1', 'head -n 1 /var/lib/wcvmm/verdict; ls /run/wcvmm')).stdout).toBe(
      'wcvmm: not verified: stopped',
    );
  });

  test('a host that dies in the middle is not verified; the others are', async () => {
    const again = { wcvmm_arguments: '--whole' };
    const hosts = inventory({ 'arm-1': 'arm64', 'amd-1': 'x86-amd' }, { 'amd-1': again });
    const running = play('-i', hosts, '--forks', '2');
    await isBound('amd-1');
    network.nodes.get('amd-1')?.kill();
    const { code } = await running;
    expect(answer()).toEqual({
      'arm-1': 'as expected',
      'amd-1': expect.stringMatching(/^not verified; no report: /),
    });
    expect(code).not.toBe(0);
    expect(readdirSync(reports)).not.toContain('amd-1.json');
  });
});

/** Of each host: how many tasks changed something. */
function changed(output: string): readonly string[] {
  return [...output.matchAll(/^(\S+) +: ok=\d+ +changed=(\d+) /gm)].map(([, host, count]) => `${host} ${count}`);
}
