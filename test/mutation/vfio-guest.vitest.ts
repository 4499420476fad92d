import { groupOf } from './config.ts';

export default groupOf(/^(?:vfio-(?:dma|guest-.*|no-iommu|notices|ranges)|cli-passed-devices)$/);
