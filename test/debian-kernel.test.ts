/** `--kernel debian`: which modules its initramfs has, in which order, and which device has the guest load them. */
import { expect, test } from 'vitest';
import { loadOrder, moduleName, modulesTable, parseModule } from '../testbed/debian-kernel/modules.ts';
import type { Module } from '../testbed/debian-kernel/modules.ts';

function module(name: string, needs: readonly string[] = [], aliases: readonly string[] = []): Module {
  return { name, needs, aliases };
}

function finder(...modules: readonly Module[]): (name: string) => Module | null {
  return (name) => modules.find((one) => one.name === name) ?? null;
}

test("a module's own words are read from its section of strings", () => {
  const text =
    '\u007fELF\0license=GPL\0alias=pci:v00001D0Fd0000EC20sv*sd*bc*sc*i*\0alias=of:N*T*Cvendor\0depends=mlxfw,pci-hyperv-intf\0xdepends=no\0';
  expect(parseModule('kernel/drivers/net/mlx5-core.ko.xz', Buffer.from(text, 'latin1'))).toEqual({
    name: 'mlx5_core',
    aliases: ['pci:v00001D0Fd0000EC20sv*sd*bc*sc*i*'],
    needs: ['mlxfw', 'pci_hyperv_intf'],
  });
  expect(parseModule('virtio_net.ko', Buffer.from('alias=virtio:d00000001v*\0')).aliases).toEqual([
    'virtio:d00000001v*',
  ]);
  expect(parseModule('a.ko', Buffer.from('depends=\0')).needs).toEqual([]);
  expect(['a/b/virtio-net.ko', 'x.ko.zst'].map(moduleName)).toEqual(['virtio_net', 'x']);
});

test('what a module needs is loaded before it, once, and what is built in not at all', () => {
  const find = finder(
    module('top', ['left', 'right', 'builtin']),
    module('left', ['base']),
    module('right', ['base']),
    module('base'),
  );
  expect(loadOrder('top', find)).toEqual(['base', 'left', 'right', 'top']);
  expect(loadOrder('absent', find)).toEqual([]);
  expect(loadOrder('a', finder(module('a', ['b']), module('b', ['a'])))).toEqual(['b', 'a']);
});

test('the table has a line for each pattern, with all files of the driver', () => {
  const find = finder(
    module('ena', [], ['pci:v1*', 'pci:v2*']),
    module('mlx5_core', ['mlxfw'], ['pci:v3*']),
    module('mlxfw'),
  );
  expect(modulesTable(['ena', 'mlx5_core', 'absent'], find)).toBe(
    'pci:v1* ena.ko\npci:v2* ena.ko\npci:v3* mlxfw.ko mlx5_core.ko\n',
  );
});
