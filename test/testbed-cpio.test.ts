import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { packCpio, type CpioEntry } from '../common/cpio.ts';
import { withFolders } from '../testbed/rootfs/app.ts';

interface Unpacked {
  name: string;
  mode: number;
  device: string;
  data: string;
}

/** A reader of its own, by the format's description: 13 fields of 8 hexadecimal digits behind the magic. */
function unpack(archive: Buffer): Unpacked[] {
  const entries: Unpacked[] = [];
  for (let at = 0; at < archive.length;) {
    const field = (index: number): number =>
      Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    expect(archive.toString('latin1', at, at + 6)).toBe('070701');
    expect(at % 4).toBe(0);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const name = archive.toString('utf8', at + 110, at + 110 + nameSize - 1);
    const data = (at + 110 + nameSize + 3) & ~3;
    entries.push({
      name,
      mode,
      device: `${field(9)}:${field(10)}`,
      data: archive.toString('latin1', data, data + size),
    });
    at = (data + size + 3) & ~3;
  }
  return entries;
}

function pack(entries: CpioEntry[]): Buffer {
  return Buffer.concat([...packCpio(entries)]);
}

it('writes folders, files, links and devices with their types', () => {
  const archive = pack([
    { kind: 'directory', path: 'dev', mode: 0o755 },
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: 'init', mode: 0o755, data: Buffer.from('#!/bin/sh\n') },
    { kind: 'symlink', path: 'lib', target: 'usr/lib' },
  ]);
  expect(unpack(archive)).toEqual([
    { name: 'dev', mode: 0o040755, device: '0:0', data: '' },
    { name: 'dev/console', mode: 0o020600, device: '5:1', data: '' },
    { name: 'init', mode: 0o100755, device: '0:0', data: '#!/bin/sh\n' },
    { name: 'lib', mode: 0o120777, device: '0:0', data: 'usr/lib' },
    { name: 'TRAILER!!!', mode: 0, device: '0:0', data: '' },
  ]);
});

it('keeps any name and any data, whatever their lengths', () => {
  const file = fc.record({ path: fc.stringMatching(/^[a-z]{1,40}$/), data: fc.uint8Array({ maxLength: 300 }) });
  fc.assert(
    fc.property(fc.uniqueArray(file, { selector: (entry) => entry.path, maxLength: 8 }), (files) => {
      const archive = pack(files.map((entry) => ({ kind: 'file', mode: 0o644, ...entry })));
      const found = unpack(archive).slice(0, -1);
      expect(found.map((entry) => entry.name)).toEqual(files.map((entry) => entry.path));
      expect(found.map((entry) => entry.data)).toEqual(
        files.map((entry) => Buffer.from(entry.data).toString('latin1')),
      );
    }),
  );
});

it('puts every folder before what is in it, once', () => {
  const files = new Map([
    ['dist/tool/cli/cli.js', Buffer.from('b')],
    ['dist/memattr/index.js', Buffer.from('a')],
    ['package.json', Buffer.from('{}')],
  ]);
  expect(withFolders('wcvmm', files).map((entry) => entry.path)).toEqual([
    'wcvmm',
    'wcvmm/dist',
    'wcvmm/dist/memattr',
    'wcvmm/dist/memattr/index.js',
    'wcvmm/dist/tool',
    'wcvmm/dist/tool/cli',
    'wcvmm/dist/tool/cli/cli.js',
    'wcvmm/package.json',
  ]);
});
