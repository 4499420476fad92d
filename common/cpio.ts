/** One entry of an archive. `path` is relative and has no leading slash; `mode` holds the permission bits. */
export type CpioEntry =
  | { kind: 'directory'; path: string; mode: number }
  | { kind: 'file'; path: string; mode: number; data: Uint8Array }
  | { kind: 'symlink'; path: string; target: string }
  | { kind: 'character-device'; path: string; mode: number; major: number; minor: number };

const typeBits = { directory: 0o040000, file: 0o100000, symlink: 0o120000, 'character-device': 0o020000 } as const;

/**
 * The entries as a "newc" cpio archive, the form that Linux unpacks at boot
 * (Documentation/driver-api/early-userspace/buffer-format.rst): a header of ASCII hexadecimal numbers, the name
 * and the data, each padded to 4 bytes. Owner is root, times are 0: equal entries give equal bytes.
 * Several archives may follow one another; the kernel unpacks each.
 */
export function* packCpio(entries: Iterable<CpioEntry>): Generator<Uint8Array> {
  let inode = 1;
  for (const entry of entries) {
    yield* packEntry(entry, inode);
    inode += 1;
  }
  yield header({ inode: 0, mode: 0, links: 1, size: 0, major: 0, minor: 0, name: 'TRAILER!!!' });
}

function* packEntry(entry: CpioEntry, inode: number): Generator<Uint8Array> {
  const data =
    entry.kind === 'file' ? entry.data : entry.kind === 'symlink' ? Buffer.from(entry.target) : new Uint8Array();
  const permissions = entry.kind === 'symlink' ? 0o777 : entry.mode;
  const device = entry.kind === 'character-device' ? entry : { major: 0, minor: 0 };
  yield header({
    inode,
    mode: typeBits[entry.kind] | permissions,
    links: entry.kind === 'directory' ? 2 : 1,
    size: data.length,
    major: device.major,
    minor: device.minor,
    name: entry.path,
  });
  yield data;
  yield padding(data.length);
}

interface Header {
  inode: number;
  mode: number;
  links: number;
  size: number;
  major: number;
  minor: number;
  name: string;
}

function header(of: Header): Uint8Array {
  if (of.size > 0xffff_ffff) throw new RangeError(`${of.name}: a newc archive holds no file of ${of.size} bytes`);
  const name = Buffer.from(`${of.name}\0`);
  const owner = [0, 0];
  const time = 0;
  const ownDevice = [0, 0];
  const checksum = 0;
  const fields = [
    of.inode,
    of.mode,
    ...owner,
    of.links,
    time,
    of.size,
    ...ownDevice,
    of.major,
    of.minor,
    name.length,
    checksum,
  ];
  const bytes = Buffer.concat([
    Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`),
    name,
  ]);
  return Buffer.concat([bytes, padding(bytes.length)]);
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}
