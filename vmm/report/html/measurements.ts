import type { Report } from '../report.ts';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';
export function measurementSection(_report: Report, _prefix: string): Markup { return html``; }
