import { ATTRIBUTES } from '../../memattr/model.ts';
import type { Attribute } from '../../memattr/index.ts';

/** Why a text names no attribute; the caller says where it stands. */
export interface AttributeProblem {
  readonly code: 'E_ATTRIBUTE' | 'E_CACHEABLE';
  readonly message: string;
}

const CACHEABLE = /^(?:cacheable|cached|write-?back|wb|write-?through|wt)$/i;

/**
 * The attribute that `text` names exactly. Other tools' names are not taken: `uc` means one thing to an x86 reader and
 * another to an arm64 one.
 */
export function readAttribute(text: string): Attribute | AttributeProblem {
  const exact = ATTRIBUTES.find((attribute) => attribute === text);
  if (exact !== undefined) return exact;
  if (CACHEABLE.test(text))
    return {
      code: 'E_CACHEABLE',
      message:
        "only the device's own driver can map a BAR as cacheable, because only it knows whether the device is coherent, and vfio-pci does not; wc is the most relaxed attribute",
    };
  return {
    code: 'E_ATTRIBUTE',
    message: `expected an attribute: ${ATTRIBUTES.slice(0, -1).join(', ')} or ${ATTRIBUTES.at(-1)}`,
  };
}
