/** What a valid input of each kind looks like; fuzzing begins there. */
import { ABI, LOG_AT, OUTCOME_NUMBER, RECORD_AT, SIZE_OF } from '../../tool/verify/guest/abi.ts';

const BASE = 0x4000_0000n;

export function elf(machine: number): Uint8Array {
  const bytes = new Uint8Array(64 + 2 * 56 + 64);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, machine, true);
  view.setBigUint64(24, BASE, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  for (let segment = 0; segment < 2; segment += 1) {
    const at = 64 + segment * 56;
    view.setUint32(at, 1, true);
    view.setBigUint64(at + 8, 176n, true);
    view.setBigUint64(at + 24, BASE + BigInt(segment) * 0x1000n, true);
    view.setBigUint64(at + 32, 64n, true);
    view.setBigUint64(at + 40, 4096n, true);
  }
  return bytes;
}

export function arm64Image(): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from('MZ'));
  view.setBigUint64(16, 5n << 20n, true);
  view.setBigUint64(24, 0xan, true);
  bytes.set(Buffer.from('ARM\x64'), 56);
  view.setUint32(60, 0x40, true);
  bytes.set(Buffer.from('PE\0\0'), 0x40);
  view.setUint16(0x46, 1, true);
  view.setUint16(0x54, 0xa0, true);
  view.setUint32(0x40 + 24 + 0xa0 + 8, 4 << 20, true);
  return bytes;
}

export function bzImage(): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  view.setUint8(0x1f1, 3);
  view.setUint32(0x1f4, 128, true);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint8(0x201, 0x6a);
  bytes.set(Buffer.from('HdrS'), 0x202);
  view.setUint16(0x206, 0x20f, true);
  view.setUint8(0x211, 1);
  view.setUint32(0x22c, 0x7fff_ffff, true);
  view.setUint32(0x230, 2 << 20, true);
  view.setUint8(0x234, 1);
  view.setUint16(0x236, 1, true);
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x258, 16n << 20n, true);
  view.setUint32(0x260, 20 << 20, true);
  return bytes;
}

export const LOG_CELLS = 4;

/** As long as a few records need. */
export function guestLog(): Uint8Array {
  const bytes = new Uint8Array(SIZE_OF.log);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(LOG_AT.magic, ABI.magic, true);
  view.setUint32(LOG_AT.recordCount, LOG_CELLS, true);
  for (let cell = 0; cell < LOG_CELLS; cell += 1) {
    const at = LOG_AT.records + cell * SIZE_OF.record;
    view.setUint32(at + RECORD_AT.cell, cell, true);
    view.setUint32(at + RECORD_AT.outcome, OUTCOME_NUMBER.ok, true);
  }
  return bytes;
}

/** VFIO_DEVICE_GET_REGION_INFO's: a header, sparse areas at 32, mmap attributes behind them. */
export function regionReply(): Uint8Array {
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  view.setUint16(32, 1, true);
  view.setUint32(36, 80, true);
  view.setUint32(40, 2, true);
  view.setBigUint64(56, 4096n, true);
  view.setBigUint64(64, 4096n, true);
  view.setUint16(80, 6, true);
  view.setUint32(88, 7, true);
  return bytes;
}

export const MAPS = [
  'bar2:0-64K=device',
  'bar2:64K-=wc',
  'bar0=default',
  '0000:01:00.0/bar2:0x1000-0x2000=wc',
] as const;

export const PROFILE = {
  schema: 'wcvmm.profile/1',
  kinds: {
    arm64: {
      match: { arch: 'arm64' },
      attributes: { device: { stage2: 'Device-nGnRE' }, wc: { stage2: 'Normal-NC' } },
      evidence: { programmed: true, observed: 4 },
    },
  },
};

export const STAGE2 =
  '0x0000000100000000-0x0000000100200000           2M 2   R W px ux  AF BLK MEM/NORMAL-NC\n0x0000000100200000-0x0000000100201000           4K 3   R W px ux  AF     DEVICE/nGnRE\n';

export const TRACE =
  '# entries-in-buffer/entries-written: 1/1   #P:2\n            node-77      [000] .....    12.345678: kvm_mmu_set_spte: gfn 100000 spte 80000000fe000077 (rwxu) level 1 at 1234\n';
