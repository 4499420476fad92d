/** Hosts as they are judged, one after the other: of each, only its name and its group are kept. */
import { differences } from './facts.ts';
import type { Facts } from './facts.ts';
import { STATES } from './judge.ts';
import type { Judgement, State } from './judge.ts';

/** Hosts of one kind of which all that is compared is the same. */
export interface Group {
  /** null: the profile has no such kind. */
  readonly kind: string | null;
  readonly state: State;
  readonly reasons: readonly string[];
  /** null: there is no report that could say. */
  readonly facts: Facts | null;
  readonly hosts: readonly string[];
  /** How its facts differ from those of its kind's largest group; none: they do not, or it is that group. */
  readonly odd: readonly string[];
}

export interface Fleet {
  readonly counts: Readonly<Record<State, number>>;
  readonly hosts: number;
  /** Kinds in the order of their names, unknown ones last; in each, what is wrong first, then the largest. */
  readonly groups: readonly Group[];
}

interface Open extends Omit<Group, 'hosts' | 'odd'> {
  readonly hosts: string[];
}

export class Tally {
  readonly #groups = new Map<string, Open>();

  add(host: string, { kind, state, reasons }: Judgement, facts: Facts | null): void {
    const key = JSON.stringify([kind, state, reasons, facts]);
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, { kind, state, reasons, facts, hosts: [host] });
    else group.hosts.push(host);
  }

  fleet(): Fleet {
    const open = [...this.#groups.values()];
    const usual = new Map<string | null, Open>();
    for (const group of open) {
      const largest = usual.get(group.kind);
      if (group.facts !== null && (largest === undefined || isMoreUsual(group, largest))) usual.set(group.kind, group);
    }
    const groups = open.map((group): Group => {
      const largest = usual.get(group.kind)?.facts ?? null;
      const odd =
        group.facts === null || largest === null || group.kind === null ? [] : differences(group.facts, largest);
      const { kind, state, reasons, facts, hosts } = group;
      return { kind, state, reasons, facts, hosts: hosts.toSorted(byName), odd };
    });
    const counts = { 'as expected': 0, differs: 0, 'not verified': 0 };
    for (const { state, hosts } of groups) counts[state] += hosts.length;
    return {
      counts,
      hosts: STATES.reduce((sum, state) => sum + counts[state], 0),
      groups: groups.toSorted(inOrder),
    };
  }
}

/** What is as expected says better what is usual, however few there are. */
function isMoreUsual(group: Open, other: Open): boolean {
  const [isGood, otherIsGood] = [group, other].map(({ state }) => state === 'as expected');
  return isGood === otherIsGood ? group.hosts.length > other.hosts.length : isGood === true;
}

const BAD_FIRST: readonly State[] = ['differs', 'not verified', 'as expected'];

function inOrder(a: Group, b: Group): number {
  if (a.kind !== b.kind) {
    if (a.kind === null) return 1;
    return b.kind === null ? -1 : byName(a.kind, b.kind);
  }
  return (
    BAD_FIRST.indexOf(a.state) - BAD_FIRST.indexOf(b.state) ||
    b.hosts.length - a.hosts.length ||
    byName(a.hosts[0] ?? '', b.hosts[0] ?? '')
  );
}

function byName(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
