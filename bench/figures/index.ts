/** Every figure, in the order of the table. A new one is a file beside this one and a line here. */
import type { Figure } from '../figure.ts';
import { exits, linuxExits } from './exits.ts';
import { linuxBoots } from './linux-boot.ts';
import { fleetMemory, fleetTime } from './fleet.ts';
import { linear, mappings } from './mappings.ts';
import { cpuOfRun, nativeRun, peakMemory } from './native-run.ts';
import { verdicts, versionInInstance } from './testbeds.ts';
import { firstVerdict, tests, wholeStart } from './whole.ts';

export const FIGURES: readonly Figure[] = [
  nativeRun,
  cpuOfRun,
  peakMemory,
  exits,
  linuxExits,
  mappings,
  linear,
  fleetTime,
  fleetMemory,
  versionInInstance,
  ...verdicts,
  ...linuxBoots,
  firstVerdict,
  wholeStart,
  tests,
];
