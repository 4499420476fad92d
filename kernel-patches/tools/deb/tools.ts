import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { WcvmmError } from '../../../common/errors.ts';
import { compilerPrefix, type PackageTarget } from './targets.ts';

/** Debian's packages that bindeb-pkg and a configuration of many drivers need, each with something that only it brings. */
const required: readonly (readonly [debian: string, programOrFile: string])[] = [
  ['make', 'make'],
  ['bc', 'bc'],
  ['bison', 'bison'],
  ['flex', 'flex'],
  ['cpio', 'cpio'],
  ['rsync', 'rsync'],
  ['kmod', 'depmod'],
  ['patch', 'patch'],
  ['xz-utils', 'xz'],
  ['zstd', 'zstd'],
  ['lz4', 'lz4'],
  ['python3', 'python3'],
  ['perl', 'perl'],
  ['openssl', 'openssl'],
  ['dpkg-dev', 'dpkg-buildpackage'],
  ['debhelper', 'dh_builddeb'],
  ['libelf-dev', '/usr/include/gelf.h'],
  ['libssl-dev', '/usr/include/openssl/opensslv.h'],
];

/** Throws E_SETUP, naming every Debian package that the build would miss. */
export function checkTools(target: PackageTarget, has: (programOrFile: string) => boolean = isThere): void {
  const prefix = compilerPrefix(target);
  const compilers = [
    ['build-essential', 'gcc'],
    ...(prefix === '' ? [] : [[target.crossPackage, `${prefix}gcc`] as const]),
  ] as const;
  const missing = [...compilers, ...required]
    .filter(([, programOrFile]) => !has(programOrFile))
    .map(([debian]) => debian);
  if (missing.length > 0)
    throw new WcvmmError(
      'E_SETUP',
      `A kernel package cannot be built here without these Debian packages; install them with: apt-get install ${missing.join(' ')}`,
    );
}

function isThere(programOrFile: string): boolean {
  if (programOrFile.startsWith('/')) return existsSync(programOrFile);
  // depmod is an administrator's program: users may not have its folder in their PATH.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => existsSync(join(folder, programOrFile)));
}
