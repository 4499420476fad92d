/** What a fleet can be written as; each writer is loaded on first use. */
import type { Format } from '../report/formats.ts';
import type { Fleet } from './tally.ts';

export const FLEET_FORMATS: Readonly<Record<Format, (fleet: Fleet) => Promise<string>>> = {
  json: async (fleet) => (await import('./json.ts')).formatFleetJson(fleet),
  junit: async (fleet) => (await import('./cases.ts')).formatFleetJunit(fleet),
  tap: async (fleet) => (await import('./cases.ts')).formatFleetTap(fleet),
  html: async (fleet) => (await import('./html/page.ts')).formatFleetHtml(fleet),
};
