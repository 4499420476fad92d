/** The registers of an x86 host, by a made-up msr driver. */
import { describe, expect, test } from 'vitest';
import { LINUX_PAT, decodePatMsr } from '../memattr/index.ts';
import { canReadMsrs, compareCpus, hostMtrr, hostPat, sevStatus } from '../tool/verify/read-back/host-x86.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

const PAT = 0x277;
const CAPABILITY = 0xfe;
const DEFAULT_TYPE = 0x2ff;
const VARIABLE = 0x200;
const SEV_STATUS = 0xc001_0131;

type Registers = Readonly<Record<number, bigint>>;

/** Two variable ranges, of which one is in use. */
const USUAL: Registers = {
  [PAT]: 0x0007_0406_0007_0406n,
  [CAPABILITY]: 0x502n,
  [DEFAULT_TYPE]: 0xc06n,
  [VARIABLE]: 0x80_0000_0000n,
  [VARIABLE + 1]: 0x80_0000_0800n,
  [VARIABLE + 2]: 0n,
  [VARIABLE + 3]: 0n,
};

/** CPUs by number; null: one whose registers cannot be read. @param short how many bytes a read gives */
function host(cpus: Readonly<Record<string, Registers | null>>, short = 8): { port: Port; open: Set<number> } {
  const fds = new Map<number, Registers>();
  const paths = Object.entries(cpus).flatMap(([cpu, registers]) => (registers === null ? [] : `/dev/cpu/${cpu}/msr`));
  const stub = stubPort({
    folders: { '/dev/cpu': [...Object.keys(cpus), 'microcode', '1st'] },
    nodes: Object.fromEntries(paths.map((path) => [path, 'ok'])),
  });
  const port: Port = {
    ...stub.port,
    open(path, flags) {
      const fd = stub.port.open(path, flags);
      fds.set(fd, cpus[path.split('/')[3] ?? ''] ?? {});
      return fd;
    },
    pread(fd, into, offset) {
      const value = fds.get(fd)?.[Number(offset)];
      if (value === undefined) throw new SysError('pread', ERRNO.EIO);
      new DataView(into.buffer).setBigUint64(0, value, true);
      return short;
    },
  };
  return { port, open: stub.open };
}

describe('the host’s PAT', () => {
  test('is CPU 0’s', () => {
    const { port, open } = host({ 0: { [PAT]: 0x0606_0606_0606_0606n }, 1: USUAL });
    expect(hostPat(port)).toEqual(decodePatMsr(0x0606_0606_0606_0606n));
    expect(canReadMsrs(port)).toBe(true);
    expect(open.size).toBe(0);
  });

  test.each([
    ['there is no msr driver', host({ 0: null })],
    ['the register cannot be read', host({ 0: {} })],
    ['less than a register comes', host({ 0: USUAL }, 4)],
  ])('is Linux’s usual one where %s', (_why, { port, open }) => {
    expect(hostPat(port)).toEqual(LINUX_PAT);
    expect(canReadMsrs(port)).toBe(false);
    expect(sevStatus(port)).toBeNull();
    expect(open.size).toBe(0);
  });

  test('is nobody’s where something else than the kernel fails', () => {
    const fault = new TypeError('a fault of this program');
    const { port } = host({ 0: USUAL });
    const throws = (): never => {
      throw fault;
    };
    expect(() => hostPat({ ...port, open: throws })).toThrow(fault);
    expect(() => hostPat({ ...port, pread: throws })).toThrow(fault);
  });
});

test('a guest of SEV is one by its own register', () => {
  expect(sevStatus(host({ 0: { [SEV_STATUS]: 7n } }).port)).toBe(7n);
  expect(sevStatus(host({ 0: { [SEV_STATUS]: 0n } }).port)).toBe(0n);
});

describe('MTRRs', () => {
  test.each([CAPABILITY, DEFAULT_TYPE, VARIABLE + 3])('are not known where one cannot be read: %i', (missing) => {
    const registers = Object.fromEntries(Object.entries(USUAL).filter(([number]) => Number(number) !== missing));
    expect(hostMtrr(host({ 0: registers }).port, 1n << 32n, 4096n)).toBeNull();
    expect(hostMtrr(host({ 0: USUAL }).port, 1n << 32n, 4096n)).toBe('WB');
    expect(hostMtrr(host({ 0: USUAL }).port, 0x80_0000_0000n, 4096n)).toBe('UC');
  });
});

describe('CPUs', () => {
  test('that are alike', () => {
    const { port, open } = host({ 0: USUAL, 1: { ...USUAL }, 10: { ...USUAL } });
    expect(compareCpus(port)).toEqual({ there: 3, compared: 3, unlike: [] });
    expect(open.size).toBe(0);
  });

  test.each([PAT, CAPABILITY, DEFAULT_TYPE, VARIABLE, VARIABLE + 3])(
    'of which one has another register: %i',
    (number) => {
      const other = { ...USUAL, [number]: (USUAL[number] ?? 0n) ^ (number === CAPABILITY ? 1n : 0x800n) };
      expect(compareCpus(host({ 10: other, 2: USUAL, 0: USUAL }).port)).toEqual({
        there: 3,
        compared: 3,
        unlike: [10],
      });
    },
  );

  test('are compared with the first, by number, that can be read', () => {
    const other = { ...USUAL, [PAT]: 1n };
    expect(compareCpus(host({ 10: USUAL, 9: other, 0: null }).port)).toEqual({ there: 3, compared: 2, unlike: [10] });
    expect(compareCpus(host({ 0: USUAL, 1: { [PAT]: 1n } }).port)).toEqual({ there: 2, compared: 1, unlike: [] });
    expect(compareCpus(host({ 0: USUAL, 1: { [CAPABILITY]: 1n } }).port)).toMatchObject({ compared: 1 });
  });

  test('of which nothing can be read are not compared', () => {
    expect(compareCpus(host({ 0: null, 1: null }).port)).toEqual({ there: 2, compared: 0, unlike: [] });
    expect(compareCpus(stubPort({}).port)).toEqual({ there: 1, compared: 0, unlike: [] });
  });
});
