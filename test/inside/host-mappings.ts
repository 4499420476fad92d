/**
 * Runs inside a testbed: what `verify --host` and `inspect` say on a machine without VFIO and KVM. Every device is taken from
 * vfio-pci, and the device files are removed. The argument is the address of a device whose BAR 2 is memory.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Scope } from '../../common/scope.ts';
import { MAP_SHARED, O_RDWR, PROT_READ, libcPort as port } from '../../vmm/sys/libc.ts';
import { resourcePath } from '../../vmm/sys/pci.ts';

const [, , address = ''] = process.argv;
const MIB = 1n << 20n;
const cli = fileURLToPath(new URL('../../tool/cli/cli.js', import.meta.url));
const driver = '/sys/bus/pci/drivers/vfio-pci';

for (const name of readdirSync(driver)) if (name.includes(':')) writeFileSync(`${driver}/unbind`, name);
for (const path of ['/dev/kvm', '/dev/vfio', '/dev/iommu']) rmSync(path, { recursive: true, force: true });

function run(name: string, ...args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  process.stdout.write(`${JSON.stringify({ name, found: { code: status, stdout, stderr } })}\n`);
}

/** Maps the second MiB of BAR 2 meanwhile. */
function mapped(combining: boolean, then: () => void): void {
  const scope = new Scope();
  const fd = port.open(resourcePath(address, 2, combining), O_RDWR);
  scope.defer(() => port.close(fd));
  const at = port.mmap({ length: MIB, protection: PROT_READ, flags: MAP_SHARED, fd, offset: MIB });
  scope.defer(() => port.munmap(at, MIB));
  then();
  scope.close();
}

run('all', 'verify', '--host', '--json', '-');
run('text', 'verify', '--host', '-d', address);
run('no such BAR', 'verify', '--host', '-d', address, '--bar', '5');
run('nobody', 'inspect', '--pid', String(process.pid), '--json');
for (const [name, combining] of [
  ['wc', true],
  ['uc', false],
] as const)
  mapped(combining, () => {
    run(`${name}: inspect`, 'inspect', '--json');
    run(`${name}: pid`, 'inspect', '--pid', String(process.pid));
    run(`${name}: verify`, 'verify', '--host', '-d', address, '--bar', '2', '--json', '-');
  });
run('own pid', 'inspect', '--pid', '999999');
process.stdout.write(`${JSON.stringify({ name: 'pid', found: process.pid })}\n`);
