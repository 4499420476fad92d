/** From what the user wrote (`--map`) to windows of a BAR, and from windows to guest physical addresses. Pure. */
export { ATTRIBUTES, parseAttribute } from './plan/attribute.ts';
export { type MapRequest, parseMap } from './plan/map.ts';
export { type Placement, addressIn, placeWindows, reservationSize } from './plan/place.ts';
export { formatSize, parseSize } from './plan/size.ts';
export { type Region, type Window, planWindows } from './plan/windows.ts';
