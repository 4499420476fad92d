/** What every page begins with, up to where its own part of the header goes on: nothing but its own style sheet and script may apply. */
import { createHash } from 'node:crypto';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';

export interface PageHead {
  readonly title: string;
  readonly sheet: Markup;
  /** None: no script may run. */
  readonly script?: Markup;
}

export function pageHead({ title, sheet, script }: PageHead): Markup {
  const scripts = script === undefined ? '' : ` script-src 'sha256-${sha256(script.text)}';`;
  const policy = `default-src 'none'; style-src 'sha256-${sha256(sheet.text)}';${scripts} base-uri 'none'; form-action 'none'`;
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="wcvmm">
<title>${title}</title>
<style>${sheet}</style>
</head>
<body>
<a class="skip" href="#main">To the results</a>`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
