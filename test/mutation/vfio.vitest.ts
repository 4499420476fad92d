import { groupOf } from './config.ts';

export default groupOf(/^(?:vfio-(?!host-mapping).*|verify-(?:plan|writes))$/);
