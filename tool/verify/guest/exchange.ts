/**
 * A data probe's other half. The guest stores its cell's number to the doorbell's sync register, and the host writes the
 * pattern into the BAR, or looks for the one that the guest wrote, through its own mapping, before the guest goes on.
 */
import type { CreateDevice, Device, DeviceDescription, DeviceModule } from '../../../vmm/bus/device.ts';
import { moduleBeside } from '../../../vmm/bus/shared.ts';
import { armTranslate } from '../../../vmm/sys/kvm-arm64.ts';
import { attempt } from '../../../vmm/sys/attempt.ts';
import { BARE_MAP } from '../../../vmm/machines/bare.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { DOORBELL, wcvmmPattern } from './abi.ts';

export interface Exchange {
  readonly cell: number;
  /** host-translates: the host asks KVM what both stages make of an address, while the guest has it mapped. */
  readonly direction: 'host-writes' | 'host-reads' | 'host-translates';
  /** Host-virtual address of the 64 bytes; of what is translated, the guest-virtual one. */
  readonly address: bigint;
  readonly seed: bigint;
}

/** What the host read where the guest says that it wrote; `firstBad` is the index of a 64-bit word, null = all right. */
export interface HostCheck {
  readonly cell: number;
  readonly firstBad: number | null;
}

/** What both stages make of a cell's address: the attribute as MAIR_EL1 has it; null: KVM did not say. */
export interface Translation {
  readonly cell: number;
  readonly attribute: number | null;
}

export interface ExchangeDevice {
  readonly device: DeviceDescription;
  /** What was found, at most once a cell: whatever a guest does, there are no more than it was asked about. */
  checks(): readonly HostCheck[];
  /** What KVM said of each cell that rang for it. */
  translations(): readonly Translation[];
}

interface Options {
  readonly exchanges: readonly Exchange[];
  /** One word for each exchange. */
  readonly found: SharedArrayBuffer;
}

/** Values of a word of `found`; a larger one is the index of the first bad word + FIRST_BAD. */
const NOT_ASKED = 0;
const ALL_RIGHT = 1;
const FIRST_BAD = 2;
/** Of what is translated: a larger one is the attribute + ATTRIBUTE. */
const NO_ATTRIBUTE = 1;
const ATTRIBUTE = 2;

const WORDS = 8;

export function exchangeDevice(exchanges: readonly Exchange[]): ExchangeDevice {
  const found = new SharedArrayBuffer(Math.max(exchanges.length, 1) * 4);
  const options: Options = { exchanges, found };
  return {
    device: {
      space: 'mmio',
      base: Number(BARE_MAP.doorbell) + DOORBELL.sync,
      size: 4,
      module: exchangeModule.url,
      options,
    },
    checks() {
      const words = new Int32Array(found);
      return exchanges.flatMap(({ cell, direction }, index): HostCheck[] => {
        const word = words[index] ?? NOT_ASKED;
        if (word === NOT_ASKED || direction === 'host-translates') return [];
        return [{ cell, firstBad: word === ALL_RIGHT ? null : word - FIRST_BAD }];
      });
    },
    translations() {
      const words = new Int32Array(found);
      return exchanges.flatMap(({ cell, direction }, index): Translation[] => {
        const word = words[index] ?? NOT_ASKED;
        if (word === NOT_ASKED || direction !== 'host-translates') return [];
        return [{ cell, attribute: word === NO_ATTRIBUTE ? null : word - ATTRIBUTE }];
      });
    },
  };
}

export const createDevice: CreateDevice = ({ port, vcpu }, options): Device => {
  const { exchanges, found } = options as Options;
  const words = new Int32Array(found);
  return {
    write(_offset, _length, data) {
      const cell = data.getUint32(0, true);
      const index = exchanges.findIndex((candidate) => candidate.cell === cell);
      const exchange = exchanges[index];
      // The number comes from the guest. Of one that no exchange has, the guest's record says what became of it.
      if (exchange === undefined) return null;
      if (exchange.direction !== 'host-translates') touch(port, exchange, words, index);
      else Atomics.store(words, index, translated(port, vcpu, exchange));
      return null;
    },
  };
};

export const exchangeModule: DeviceModule = { url: moduleBeside(import.meta.url, 'exchange'), createDevice };

/** KVM may refuse, as a KVM without the series does, and where stage 2 maps nothing. */
function translated(port: Port, vcpu: number | undefined, { address }: Exchange): number {
  const attribute = vcpu === undefined ? null : attempt(() => armTranslate(port, vcpu, address));
  return attribute === null ? NO_ATTRIBUTE : attribute + ATTRIBUTE;
}

/**
 * The BAR is touched as 32-bit words. Through a DataView or a byte array V8 reads and writes byte by byte until it optimises
 * them, and a device sees torn accesses.
 */
function touch(port: Port, { direction, address, seed }: Exchange, words: Int32Array, index: number): void {
  const bar = new Uint32Array(port.view(address, WORDS * 8));
  if (direction === 'host-writes') {
    for (const [at, word] of patternWords(seed).entries()) bar[at] = word;
    return;
  }
  const expected = patternWords(BigInt.asUintN(64, ~seed));
  const bad = expected.findIndex((word, at) => bar[at] !== word);
  Atomics.store(words, index, bad < 0 ? ALL_RIGHT : FIRST_BAD + Math.floor(bad / 2));
}

/** Little-endian halves of the eight 64-bit words. */
function patternWords(seed: bigint): number[] {
  return Array.from({ length: WORDS }, (_, index) => wcvmmPattern(seed, index)).flatMap((word) => [
    Number(word & 0xffff_ffffn),
    Number(word >> 32n),
  ]);
}
