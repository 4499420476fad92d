/** From what the user wrote (`--map`) to windows of a BAR, and from windows to guest physical addresses. Pure. */
export { type MapRequest, parseMap } from './map.ts';
export { type Placement, addressIn, placeWindows, reservationSize } from './place.ts';
export { formatSize, parseSize } from '../../common/size.ts';
export { type Region, type Window, planWindows } from './windows.ts';
