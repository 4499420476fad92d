/** HTML that is escaped by construction: what is put into a template is text, unless it is markup already. */
import { escapeMarkup } from '../escape.ts';

export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Part = string | number | Markup | null | readonly (Markup | string | null)[];

export const NOTHING = new Markup('');

/** The template's own text is markup; its parts are escaped, lists joined, null left out. */
export function html(template: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(
    template.map((text, index) => (index === 0 ? text : textOf(parts[index - 1] ?? null) + text)).join(''),
  );
}

function textOf(part: Part): string {
  if (part === null) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'string' || typeof part === 'number') return escapeMarkup(String(part));
  return part.map(textOf).join('');
}
