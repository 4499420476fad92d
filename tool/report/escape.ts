/** Text of reports inside of XML and HTML: nothing of it can end an element or an attribute, or be no character at all. */

const ENTITY: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

/** XML 1.0, 2.2 Char: everything else has no place there, not even as a reference. */
const NO_CHARACTER = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;

/** For text and for quoted attributes. What is no character becomes U+FFFD. */
export function escapeMarkup(text: string): string {
  return text.replaceAll(NO_CHARACTER, '\u{fffd}').replaceAll(/[&<>"'\t\n\r]/g, (found) => ENTITY[found] ?? found);
}
