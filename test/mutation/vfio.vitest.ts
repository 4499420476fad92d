import { groupOf } from './config.ts';

export default groupOf(/^(?:vfio-.*|plan-(?:windows|place)|verify-(?:plan|writes)|killed|pci-(?:faults|pages))$/);
