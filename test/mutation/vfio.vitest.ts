import { groupOf } from './config.ts';

export default groupOf(/^(?:vfio-(?!host-mapping|guest-dma|notices).*|verify-(?:plan|writes))$/);
