/**
 * A function in a vCPU's thread: its configuration space, and what a store there means. The host's own command register
 * keeps memory decoding on, whatever the guest's says: where a guest's is off, its memslots are gone.
 */
import { runAll } from '../../../common/scope.ts';
import { SysError } from '../../sys/port.ts';
import type { Port } from '../../sys/port.ts';
import { resetDevice } from '../../sys/vfio.ts';
import { BarWindow } from './bar.ts';
import { Interrupts } from './interrupts.ts';
import type { Message } from './interrupts.ts';
import { MsixTableView } from './msix-table.ts';
import { NOWHERE } from './options.ts';
import type { FunctionOptions, PciHostOptions } from './options.ts';
import type { DecodingFunction } from './placement.ts';
import { COMMAND, EXPRESS, MSI, MSIX, POWER, REG } from './registers.ts';

const HIGH_WORD = 2 ** 32;

/** Bytes of a capability in which a store can change what vectors send. */
const REGISTERS = { msix: 4, msi: 16 } as const;

export class PciFunction implements DecodingFunction {
  readonly options: FunctionOptions;
  readonly windows: readonly BarWindow[];
  /** Where each of `windows` is, or NOWHERE. */
  readonly placed: Float64Array<SharedArrayBuffer>;
  readonly #port: Port;
  readonly #config: DataView<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #writable: DataView;
  readonly #exits: Int32Array<SharedArrayBuffer>;
  readonly #interrupts: Interrupts | null;
  readonly #table: MsixTableView | null;

  constructor(port: Port, host: PciHostOptions, options: FunctionOptions) {
    const { config, writable, placed, interrupts, device } = options;
    this.options = options;
    this.#port = port;
    this.#config = new DataView(config);
    this.#bytes = new Uint8Array(config);
    this.#writable = new DataView(writable.buffer, writable.byteOffset, writable.byteLength);
    this.placed = new Float64Array(placed);
    this.#exits = new Int32Array(options.exits);
    this.windows = options.bars.map((bar) => new BarWindow(port, host.vm, device?.fd ?? -1, options, bar));
    this.#interrupts =
      interrupts === null || device === null ? null : new Interrupts(port, host, device.fd, interrupts);
    this.#table =
      this.#interrupts === null || interrupts === null || interrupts.table === null
        ? null
        : new MsixTableView(interrupts, interrupts.table, this.#interrupts);
  }

  /** A function that sleeps answers no more than one whose decoding is off. */
  get decodes(): boolean {
    return (this.#config.getUint16(REG.command, true) & COMMAND.memory) !== 0 && this.#isAwake();
  }

  get bars(): DecodingFunction['bars'] {
    return this.options.bars.map(({ bar, size, is64Bit }) => {
      const at = REG.bar0 + bar * 4;
      const low = (this.#config.getUint32(at, true) & ~0xf) >>> 0;
      return { size, address: low + (is64Bit ? this.#config.getUint32(at + 4, true) * HIGH_WORD : 0) };
    });
  }

  readConfig(at: number, into: Uint8Array): void {
    into.set(this.#bytes.subarray(at, at + into.byteLength));
    const { device } = this.options;
    for (const live of device?.live ?? []) {
      const from = Math.max(at, live.at);
      const to = Math.min(at + into.byteLength, live.at + live.length);
      if (device === null || from >= to) continue;
      const part = new Uint8Array(to - from);
      if (this.#transfer('pread', from, part) !== part.byteLength) part.fill(0xff);
      into.set(part, from - at);
    }
  }

  /** @returns whether BARs may have to move */
  writeConfig(at: number, bytes: Uint8Array): boolean {
    let mayMove = false;
    for (let done = 0; done < bytes.byteLength;) {
      const start = (at + done) % 4;
      const count = Math.min(4 - start, bytes.byteLength - done);
      const word = at + done - start;
      let [value, mask] = [0, 0];
      for (let byte = 0; byte < count; byte += 1) {
        const shift = (start + byte) * 8;
        value |= (bytes[done + byte] ?? 0) << shift;
        mask |= 0xff << shift;
      }
      if (this.#writeWord(word, value, mask)) mayMove = true;
      done += count;
    }
    return mayMove;
  }

  /** Every BAR is nowhere afterwards. */
  removeBars(): void {
    runAll(
      this.windows.map((window, index) => () => {
        window.remove(this.placed[index] ?? NOWHERE);
        this.placed[index] = NOWHERE;
      }),
    );
  }

  /** As power-on does. The BARs must be gone. */
  reset(): void {
    this.#interrupts?.disable();
    this.#table?.reset();
    this.#bytes.set(this.options.reset);
    if (this.options.device === null) return;
    this.#setRealCommand();
    if (!this.options.device.canReset) return;
    try {
      resetDevice(this.#port, this.options.device.fd);
    } catch (error) {
      // The guest gets the device as it is then, as it would from hardware that ignores a reset.
      if (!(error instanceof SysError)) throw error;
    }
  }

  /** Ends what it holds, after the last vCPU has ended. */
  close(): void {
    runAll([() => this.removeBars(), () => this.#interrupts?.disable(), () => this.#interrupts?.close()]);
  }

  readBar(window: BarWindow, offset: number, length: number, data: DataView): void {
    Atomics.add(this.#exits, 0, 1);
    const first = this.#table?.read(window.options.bar, offset) ?? null;
    if (first === null) return window.read(offset, length, data);
    for (let byte = 0; byte < length; byte += 1) {
      data.setUint8(byte, this.#table?.read(window.options.bar, offset + byte) ?? 0);
    }
  }

  writeBar(window: BarWindow, offset: number, length: number, data: DataView): void {
    Atomics.add(this.#exits, 0, 1);
    const { bar } = window.options;
    const vector = this.#table?.write(bar, offset, data.getUint8(0)) ?? null;
    if (vector === null) return window.write(offset, length, data);
    for (let byte = 1; byte < length; byte += 1) this.#table?.write(bar, offset + byte, data.getUint8(byte));
    if (vector !== 'ignored') this.#updateVector(vector);
  }

  #writeWord(at: number, value: number, mask: number): boolean {
    const allowed = this.#writable.getUint32(at, true) & mask;
    const old = this.#config.getUint32(at, true);
    const changed = (old & ~allowed) | (value & allowed);
    this.#config.setUint32(at, changed, true);
    this.#writeLive(at, value, mask);
    const { power, functionReset, interrupts } = this.options;
    if (
      functionReset !== null &&
      at === functionReset + EXPRESS.deviceControl &&
      (value & mask & EXPRESS.reset) !== 0
    ) {
      this.#resetByGuest();
      return true;
    }
    if (at === REG.command || (power !== null && at === power + POWER.control)) {
      if (changed !== (old | 0)) this.#setRealCommand();
      return true;
    }
    const [first, end] = interrupts === null ? [0, 0] : [interrupts.at, interrupts.at + REGISTERS[interrupts.kind]];
    if (at >= first && at < end) this.#updateAll();
    return at >= REG.bar0 && at < REG.barsEnd;
  }

  #resetByGuest(): void {
    this.removeBars();
    this.reset();
  }

  /** To the device goes what was written and no byte more: the others may have effects. */
  #writeLive(at: number, value: number, mask: number): void {
    const { device, functionReset } = this.options;
    if (device === null) return;
    const isControl = functionReset !== null && at === functionReset + EXPRESS.deviceControl;
    const forwarded = isControl ? value & ~EXPRESS.reset : value;
    const isLive = (byte: number): boolean =>
      ((mask >>> (byte * 8)) & 0xff) !== 0 &&
      device.live.some((live) => at + byte >= live.at && at + byte < live.at + live.length);
    for (let from = 0; from < 4; from += 1) {
      if (!isLive(from)) continue;
      let to = from + 1;
      while (to < 4 && isLive(to)) to += 1;
      const bytes = Uint8Array.from({ length: to - from }, (_, byte) => (forwarded >>> ((from + byte) * 8)) & 0xff);
      this.#transfer('pwrite', at + from, bytes);
      from = to;
    }
  }

  /** The device may start transfers while the guest lets it, is awake, and has its RAM mapped. */
  #setRealCommand(): void {
    const { device } = this.options;
    if (device === null) return;
    const wants = (this.#config.getUint16(REG.command, true) & COMMAND.master) !== 0 && this.#isAwake();
    const command = (device.command & ~COMMAND.master) | COMMAND.memory;
    const bytes = new Uint8Array(2);
    new DataView(bytes.buffer).setUint16(0, wants && device.mayTransfer ? command | COMMAND.master : command, true);
    this.#transfer('pwrite', REG.command, bytes);
  }

  #isAwake(): boolean {
    const { power } = this.options;
    return power === null || (this.#config.getUint16(power + POWER.control, true) & POWER.stateMask) === 0;
  }

  #transfer(call: 'pread' | 'pwrite', at: number, bytes: Uint8Array): number {
    const { device } = this.options;
    if (device === null) return 0;
    try {
      return this.#port[call](device.fd, bytes, device.configOffset + BigInt(at));
    } catch (error) {
      // A device that does not answer reads as all ones, and takes no stores.
      if (error instanceof SysError) return 0;
      throw error;
    }
  }

  #updateAll(): void {
    const { interrupts } = this.options;
    if (interrupts === null) return;
    const count = this.#vectorsOn();
    if (count === 0) return this.#interrupts?.disable();
    this.#interrupts?.enable(count);
    for (let vector = 0; vector < interrupts.vectors; vector += 1) this.#updateVector(vector);
  }

  #updateVector(vector: number): void {
    if (this.#vectorsOn() !== 0) this.#interrupts?.set(vector, this.#message(vector));
  }

  /** How many vectors the guest has switched on. */
  #vectorsOn(): number {
    const { interrupts } = this.options;
    if (interrupts === null) return 0;
    const control = this.#config.getUint16(interrupts.at + MSIX.control, true);
    return (control & (interrupts.kind === 'msix' ? MSIX.enable : MSI.enable)) === 0 ? 0 : interrupts.vectors;
  }

  /** What the vector shall send now; null: nothing. */
  #message(vector: number): Message | null {
    const { interrupts } = this.options;
    if (interrupts === null) return null;
    const { at, kind } = interrupts;
    const control = this.#config.getUint16(at + MSIX.control, true);
    if (kind === 'msix') return (control & MSIX.maskAll) !== 0 ? null : (this.#table?.message(vector) ?? null);
    const is64 = (control & MSI.is64) !== 0;
    const data = this.#config.getUint16(at + (is64 ? MSI.data64 : MSI.data32), true);
    const high = is64 ? this.#config.getUint32(at + MSI.addressHigh, true) : 0;
    return { low: this.#config.getUint32(at + MSI.address, true), high, data };
  }
}
