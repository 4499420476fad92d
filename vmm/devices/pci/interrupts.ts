/**
 * A function's message-signalled interrupts: VFIO signals an eventfd, KVM takes it as an irqfd, and the GSI's route is the
 * message. No interrupt is an exit; what the guest writes about them is.
 *
 * A masked vector has no irqfd, so that its interrupts stay in the eventfd. A route is there before the irqfd that uses it,
 * and changes only while there is none: KVM on AMD has crashed hosts otherwise.
 */
import { WcvmmError } from '../../../common/errors.ts';
import { runAll } from '../../../common/scope.ts';
import { signalEvent, takeEvents } from '../../sys/eventfd.ts';
import { assignIrqfd, deassignIrqfd } from '../../sys/kvm-irq.ts';
import type { Port } from '../../sys/port.ts';
import { NO_EVENTFD, VFIO_PCI_IRQ, disableIrqs, setIrqEventfds } from '../../sys/vfio-irq.ts';
import type { InterruptOptions, PciHostOptions } from './options.ts';
import { installRoutes } from './routing.ts';
import { enabledWord, vectorWord } from './vectors.ts';
import type { VECTOR } from './vectors.ts';

/** What a vector sends: a store of 32-bit `data`. */
export interface Message {
  readonly low: number;
  readonly high: number;
  readonly data: number;
}

export class Interrupts {
  readonly #port: Port;
  readonly #host: PciHostOptions;
  readonly #device: number;
  readonly #options: InterruptOptions;
  readonly #index: number;
  readonly #words: Int32Array<SharedArrayBuffer>;

  constructor(port: Port, host: PciHostOptions, device: number, options: InterruptOptions) {
    this.#port = port;
    this.#host = host;
    this.#device = device;
    this.#options = options;
    this.#index = VFIO_PCI_IRQ[options.kind];
    this.#words = new Int32Array(options.state);
  }

  /** Makes a vector send `message`; null: it is masked, and its interrupts wait. Throws as the kernel refuses. */
  set(vector: number, message: Message | null): void {
    const changes = message !== null && !this.#isRoutedTo(vector, message);
    if (this.#get(vector, 'isAssigned') !== 0 && (message === null || changes)) this.#deassign(vector);
    if (message === null) return;
    this.#arm(vector);
    if (changes) this.#route(vector, message);
    if (this.#get(vector, 'isAssigned') === 0) this.#assign(vector);
  }

  /** Whether an interrupt waits for its vector to be unmasked. */
  isPending(vector: number): boolean {
    const eventfd = this.#get(vector, 'eventfd') - 1;
    if (eventfd < 0 || this.#get(vector, 'isAssigned') !== 0) return false;
    if (takeEvents(this.#port, eventfd)) this.#put(vector, 'isPending', 1);
    return this.#get(vector, 'isPending') !== 0;
  }

  /** Switches the device's interrupts on; `count` vectors can then send. Throws as the kernel refuses. */
  enable(count: number): void {
    if (this.#enabled > 0) return;
    // Those that cannot be added later must be asked for now, or the first ones would have to be given up for them.
    const wanted = this.#options.noResize ? count : 1;
    const none = Array.from({ length: wanted }, () => NO_EVENTFD);
    const most = setIrqEventfds(this.#port, this.#device, this.#index, 0, none);
    if (most !== 0) setIrqEventfds(this.#port, this.#device, this.#index, 0, none.slice(0, most));
    this.#enabled = most === 0 ? wanted : most;
  }

  /** Switches all off; what was pending is gone. What the kernel refuses is tried again by the next call. */
  disable(): void {
    if (this.#enabled === 0) return;
    const assigned = this.#vectors.filter((vector) => this.#get(vector, 'isAssigned') !== 0);
    runAll([
      ...assigned.map((vector) => () => this.#deassign(vector)),
      () => {
        disableIrqs(this.#port, this.#device, this.#index);
        this.#enabled = 0;
      },
    ]);
    for (const vector of this.#vectors) {
      const eventfd = this.#get(vector, 'eventfd') - 1;
      if (eventfd >= 0) takeEvents(this.#port, eventfd);
      this.#put(vector, 'isPending', 0);
      this.#put(vector, 'isArmed', 0);
    }
  }

  /** Closes the eventfds, after the last vCPU has ended. */
  close(): void {
    runAll(
      this.#vectors.map((vector) => () => {
        const eventfd = this.#get(vector, 'eventfd') - 1;
        this.#put(vector, 'eventfd', 0);
        if (eventfd >= 0) this.#port.close(eventfd);
      }),
    );
  }

  get #vectors(): readonly number[] {
    return Array.from({ length: this.#options.vectors }, (_, vector) => vector);
  }

  #isRoutedTo(vector: number, { low, high, data }: Message): boolean {
    return (
      this.#get(vector, 'isRouted') !== 0 &&
      this.#get(vector, 'addressLow') === (low | 0) &&
      this.#get(vector, 'addressHigh') === (high | 0) &&
      this.#get(vector, 'data') === (data | 0)
    );
  }

  #route(vector: number, { low, high, data }: Message): void {
    this.#put(vector, 'isRouted', 0);
    this.#put(vector, 'addressLow', low | 0);
    this.#put(vector, 'addressHigh', high | 0);
    this.#put(vector, 'data', data | 0);
    this.#put(vector, 'isRouted', 1);
    try {
      installRoutes(this.#port, this.#host);
    } catch (error) {
      this.#put(vector, 'isRouted', 0);
      throw error;
    }
  }

  /** Has VFIO signal the vector's eventfd. */
  #arm(vector: number): void {
    if (this.#get(vector, 'isArmed') !== 0) return;
    if (vector >= this.#enabled && this.#options.noResize) throw tooFew(vector, this.#enabled);
    if (this.#get(vector, 'eventfd') === 0) this.#put(vector, 'eventfd', this.#port.eventfd() + 1);
    const most = setIrqEventfds(this.#port, this.#device, this.#index, vector, [this.#get(vector, 'eventfd') - 1]);
    if (most !== 0) throw tooFew(vector, most);
    this.#put(vector, 'isArmed', 1);
  }

  #assign(vector: number): void {
    const eventfd = this.#get(vector, 'eventfd') - 1;
    // What came while it was masked would be delivered by the assignment, and once more with the next signal.
    const waits = takeEvents(this.#port, eventfd) || this.#get(vector, 'isPending') !== 0;
    if (waits) this.#put(vector, 'isPending', 1);
    assignIrqfd(this.#port, this.#host.vm, { eventfd, gsi: this.#options.gsi + vector });
    this.#put(vector, 'isAssigned', 1);
    if (!waits) return;
    this.#put(vector, 'isPending', 0);
    signalEvent(this.#port, eventfd);
  }

  #deassign(vector: number): void {
    const eventfd = this.#get(vector, 'eventfd') - 1;
    deassignIrqfd(this.#port, this.#host.vm, { eventfd, gsi: this.#options.gsi + vector });
    this.#put(vector, 'isAssigned', 0);
  }

  get #enabled(): number {
    return this.#words[enabledWord(this.#options.vectors)] ?? 0;
  }

  set #enabled(count: number) {
    this.#words[enabledWord(this.#options.vectors)] = count;
  }

  #get(vector: number, which: keyof typeof VECTOR): number {
    return this.#words[vectorWord(vector, which)] ?? 0;
  }

  #put(vector: number, which: keyof typeof VECTOR, value: number): void {
    this.#words[vectorWord(vector, which)] = value;
  }
}

function tooFew(vector: number, most: number): WcvmmError {
  return new WcvmmError(
    'E_PASSTHROUGH',
    `the guest's driver uses interrupt vector ${vector} of a device, and this host can give the device ${most} in all. Have the guest's driver use fewer queues or vectors.`,
  );
}
