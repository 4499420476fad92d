import { groupOf } from './config.ts';

export default groupOf(/^(?:memory-.*|plan-(?!commands).*|vfio-(?:ranges|map-bar|guest-dma)|linux-log|guest-run)$/);
