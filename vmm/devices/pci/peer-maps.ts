/**
 * A BAR for other devices' DMA, at the address where the guest has it: by a DMA-buf in an iommufd's address space, by the host's
 * mapping in a container's. What cannot be mapped is left out: the other device's transfer then ends at the IOMMU.
 */
import { runAll } from '../../../common/scope.ts';
import { ioasMapFile, ioasUnmap } from '../../sys/iommufd.ts';
import { SysError } from '../../sys/port.ts';
import type { Port } from '../../sys/port.ts';
import { containerMapDma, containerUnmapDma } from '../../sys/vfio.ts';
import type { DmaSpace } from '../../vfio/dma.ts';
import type { BarOptions, FunctionOptions } from './options.ts';

export class PeerMaps {
  readonly #port: Port;
  readonly #bar: BarOptions;
  readonly #peers: readonly DmaSpace[];
  readonly #isMapped: Int32Array<SharedArrayBuffer>;

  constructor(port: Port, of: FunctionOptions, bar: BarOptions) {
    this.#port = port;
    this.#bar = bar;
    this.#peers = of.peers;
    const first = of.bars.indexOf(bar) * of.peers.length;
    this.#isMapped = new Int32Array(of.peerMaps, first * 4, of.peers.length);
  }

  add(base: number): void {
    for (const [index, peer] of this.#peers.entries()) {
      if (this.#isMapped[index] !== 0) continue;
      try {
        if (this.#map(peer, BigInt(base))) this.#isMapped[index] = 1;
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        // A container can have got some of the windows.
        if (peer.kind === 'container') this.#unmap(peer, BigInt(base));
      }
    }
  }

  remove(base: number): void {
    runAll(
      this.#peers.map((peer, index) => () => {
        if (this.#isMapped[index] === 0) return;
        this.#unmap(peer, BigInt(base));
        this.#isMapped[index] = 0;
      }),
    );
  }

  #map(peer: DmaSpace, iova: bigint): boolean {
    const { dmaBuf, size, hva, mapped } = this.#bar;
    if (peer.kind === 'container') {
      for (const { offset, length } of mapped) {
        const at = BigInt(offset);
        containerMapDma(this.#port, peer.container, { hva: hva + at, iova: iova + at, length: BigInt(length) });
      }
      return mapped.length > 0;
    }
    if (dmaBuf === null) return false;
    ioasMapFile(this.#port, peer.iommufd, peer.ioas, { fd: dmaBuf, iova, length: BigInt(size) });
    return true;
  }

  #unmap(peer: DmaSpace, iova: bigint): void {
    const length = BigInt(this.#bar.size);
    if (peer.kind === 'ioas') ioasUnmap(this.#port, peer.iommufd, peer.ioas, iova, length);
    else containerUnmapDma(this.#port, peer.container, iova, length);
  }
}
